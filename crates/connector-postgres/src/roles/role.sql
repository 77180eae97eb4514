-- What a role is, has and can read. $1: its name; $2: the service's schemas as a JSON array. One row, whose one value is JSON.
WITH RECURSIVE me AS (
    SELECT r.oid, r.rolname, r.rolcanlogin, r.rolvaliduntil FROM pg_roles r WHERE r.rolname = $1::text
), reach(oid) AS (
    -- Every membership counts: SET ROLE reaches what is not inherited, and an admin option what cannot be set.
    SELECT me.oid FROM me
    UNION
    SELECT m.roleid FROM reach JOIN pg_auth_members m ON m.member = reach.oid
), reached AS MATERIALIZED (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication
    FROM reach JOIN pg_roles r ON r.oid = reach.oid
), here AS (
    SELECT d.oid, d.datname, d.datdba FROM pg_database d WHERE d.datname = current_database()
), asked AS (
    SELECT n.oid, n.nspname, a.place
    FROM json_array_elements_text($2::json) WITH ORDINALITY AS a(name, place) JOIN pg_namespace n ON n.nspname = a.name
), settings AS MATERIALIZED (
    -- The server's own order: for the role in this database, for the role, for the database, for all.
    SELECT s.setrole <> 0 AS own, CASE WHEN s.setrole <> 0 THEN 0 ELSE 2 END + CASE WHEN s.setdatabase <> 0 THEN 0 ELSE 1 END AS rank, e.entry
    FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS e(entry)
    WHERE s.setdatabase IN (0, (SELECT here.oid FROM here)) AND (s.setrole = 0 OR s.setrole IN (SELECT me.oid FROM me))
), readable AS (
    SELECT c.oid, CASE WHEN NOT has_table_privilege(me.oid, c.oid, 'SELECT') THEN (
            SELECT json_agg(a.attnum ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                AND has_column_privilege(me.oid, c.oid, a.attnum, 'SELECT')
        ) END AS columns
    FROM me CROSS JOIN asked JOIN pg_class c ON c.relnamespace = asked.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND has_schema_privilege(me.oid, asked.oid, 'USAGE')
        AND (has_table_privilege(me.oid, c.oid, 'SELECT') OR has_any_column_privilege(me.oid, c.oid, 'SELECT'))
)
SELECT json_build_object(
    'can_login', me.rolcanlogin,
    'expired', coalesce(me.rolvaliduntil <= now(), false),
    -- Of a login with 10,000 memberships pg_has_role() first makes a list, which takes PostgreSQL 15 some 200 ms.
    'settable', EXISTS (
        SELECT FROM pg_auth_members m JOIN pg_roles l ON l.oid = m.member
        WHERE m.roleid = me.oid AND l.rolname = session_user AND coalesce((to_jsonb(m) ->> 'set_option')::bool, true)
    ) OR pg_has_role(session_user, me.oid,
        CASE WHEN current_setting('server_version_num')::int4 >= 160000 THEN 'SET' ELSE 'MEMBER' END),
    'reached', (
        SELECT coalesce(json_agg(json_build_object(
            'name', r.rolname, 'superuser', r.rolsuper, 'bypass_rls', r.rolbypassrls, 'create_role', r.rolcreaterole,
            'replication', r.rolreplication, 'is_login', r.rolname = session_user, 'predefined', r.oid < 16384
        ) ORDER BY r.oid <> me.oid, r.rolname), '[]')
        FROM reached r
        WHERE r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname = session_user OR r.oid < 16384
    ),
    'owned_database', (SELECT here.datname FROM here WHERE here.datdba IN (SELECT reached.oid FROM reached)),
    'owned_tables', (
        SELECT coalesce(json_agg(json_build_array(n.nspname, o.relname) ORDER BY n.nspname, o.relname), '[]')
        FROM (
            SELECT c.relnamespace, c.relname FROM pg_class c
            WHERE c.relrowsecurity AND c.relowner IN (SELECT reached.oid FROM reached) LIMIT 3
        ) o JOIN pg_namespace n ON n.oid = o.relnamespace
    ),
    'settings', (SELECT coalesce(json_agg(json_build_array(s.own, s.entry) ORDER BY s.rank), '[]') FROM settings s),
    'schemas', (
        SELECT coalesce(json_agg(json_build_object(
            'name', n.nspname, 'usable', has_schema_privilege(me.oid, n.oid, 'USAGE'),
            'writable', EXISTS (SELECT FROM reached r WHERE has_schema_privilege(r.oid, n.oid, 'CREATE'))
        )), '[]')
        FROM pg_namespace n
        -- Those that the path can be about; what it says exactly is read elsewhere.
        WHERE n.nspname NOT LIKE 'pg\_%' AND (
            n.oid IN (SELECT asked.oid FROM asked) OR n.nspname = me.rolname
            OR EXISTS (SELECT FROM settings s WHERE s.entry ILIKE 'search\_path=%'
                       AND strpos(lower(s.entry), lower(replace(n.nspname, '"', '""'))) > 0))
    ),
    'readable', (SELECT coalesce(json_object_agg(r.oid, r.columns), '{}') FROM readable r)
)
FROM me
