-- What asuser's own login is, and what it could do without being anybody. $1: its name. One row, whose one value is JSON.
WITH me AS (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication, r.rolinherit
    FROM pg_roles r WHERE r.rolname = $1::text
), granted AS MATERIALIZED (
    -- The options of PostgreSQL 16 are read by name, since older servers have no such columns.
    SELECT r.rolname, g.rolname AS grantor, m.admin_option AS admin,
        r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.oid < 16384 AS powerful,
        coalesce((to_jsonb(m) ->> 'inherit_option')::bool, false) AS inherit,
        coalesce((to_jsonb(m) ->> 'set_option')::bool, true) AS set
    FROM me JOIN pg_auth_members m ON m.member = me.oid JOIN pg_roles r ON r.oid = m.roleid
    LEFT JOIN pg_roles g ON g.oid = m.grantor
), relations AS MATERIALIZED (
    SELECT n.nspname, c.relname, c.relkind, c.relowner = me.oid AS owned,
        has_table_privilege('public', c.oid, held.privileges) OR has_any_column_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, REFERENCES') AS public
    FROM me CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        -- What an extension shows to everyone is its own (PostGIS's spatial_ref_sys); the extension's author vouched for it.
        SELECT CASE WHEN EXISTS (
            SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        ) THEN 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'
        ELSE 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER' END AS privileges
    ) held
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
        AND (c.relowner = me.oid OR has_table_privilege(me.oid, c.oid, held.privileges)
             OR (held.privileges LIKE 'SELECT%' AND has_any_column_privilege(me.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')))
    ORDER BY n.nspname, c.relname
    LIMIT 6
)
SELECT json_build_object(
    'superuser', me.rolsuper, 'bypass_rls', me.rolbypassrls, 'create_role', me.rolcreaterole, 'replication', me.rolreplication,
    'inherits', me.rolinherit,
    'options', current_setting('server_version_num')::int4 >= 160000,
    'owned_database', (SELECT d.datname FROM pg_database d WHERE d.datname = current_database() AND d.datdba = me.oid),
    'granted', (
        SELECT coalesce(json_agg(json_build_object(
            'name', g.rolname, 'grantor', g.grantor, 'admin', g.admin, 'inherit', g.inherit,
            'powerful', g.powerful
        ) ORDER BY g.admin DESC, g.powerful DESC, g.rolname), '[]')
        FROM (
            SELECT g.* FROM granted g
            WHERE g.admin OR g.inherit OR g.powerful
            -- What is wrong in every mode first; a dozen harmless predefined roles cannot push it out.
            ORDER BY g.admin DESC, g.powerful DESC, g.rolname LIMIT 12
        ) g
    ),
    'unsettable', (
        SELECT coalesce(json_agg(u.rolname ORDER BY u.rolname), '[]')
        FROM (SELECT g.rolname FROM granted g GROUP BY g.rolname HAVING NOT bool_or(g.set) ORDER BY g.rolname LIMIT 6) u
    ),
    'relations', (
        SELECT coalesce(json_agg(json_build_object(
            'schema', r.nspname, 'name', r.relname, 'owned', r.owned, 'public', r.public)), '[]')
        FROM relations r
    )
)
FROM me
