-- What a read of the schemas' relations may reach, as edges of a graph. $1: the schemas' names as a JSON array.
-- Objects below 16384 are initdb's own (FirstNormalObjectId): they run nothing of anybody else's.
WITH RECURSIVE edge(source_class, source, class, id) AS (
    SELECT 'service'::text, 0::oid, 'relation'::text, c.oid
    FROM (
        SELECT c.oid
        FROM json_array_elements_text($1::json) WITH ORDINALITY AS a(name, place)
        JOIN pg_namespace n ON n.nspname = a.name JOIN pg_class c ON c.relnamespace = n.oid
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
        ORDER BY a.place, c.relname
        LIMIT 5001
    ) c
    UNION
    SELECT e.class, e.id, f.class, f.id
    FROM edge e
    CROSS JOIN LATERAL (
        -- A materialized view has a rule too, which only REFRESH runs.
        SELECT 'rule'::text, r.oid FROM pg_class c JOIN pg_rewrite r ON r.ev_class = c.oid
        WHERE e.class = 'relation' AND c.oid = e.id AND c.relkind = 'v' AND r.ev_type = '1'
    UNION ALL
        SELECT 'policy', p.oid FROM pg_policy p
        WHERE e.class = 'relation' AND p.polrelid = e.id AND p.polcmd IN ('r', '*')
    UNION ALL
        -- A virtual generated column (PostgreSQL 18) is computed when it is read.
        SELECT 'default', d.oid FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE e.class = 'relation' AND a.attrelid = e.id AND a.attgenerated = 'v'
    UNION ALL
        -- What has parts is asked for with to_json(), which uses a type's own cast to json.
        SELECT 'json', t.oid FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE e.class = 'relation' AND a.attrelid = e.id AND a.attnum > 0 AND NOT a.attisdropped
            AND t.oid >= 16384 AND (t.typtype IN ('c', 'd') OR t.typcategory = 'A')
    UNION ALL
        -- A read of a parent asks no policy of its heirs; it matters only which of them another server holds.
        SELECT 'heir', c.oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE e.class IN ('relation', 'heir') AND i.inhparent = e.id AND (c.relkind = 'f' OR c.relhassubclass)
    UNION ALL
        SELECT 'relation', c.oid FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid
        WHERE d.objid = e.id AND d.refclassid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
            AND d.classid = CASE e.class
                WHEN 'rule' THEN 'pg_rewrite'::regclass WHEN 'policy' THEN 'pg_policy'::regclass
                WHEN 'function' THEN 'pg_proc'::regclass END
    UNION ALL
        SELECT CASE d.refclassid WHEN 'pg_proc'::regclass THEN 'function' WHEN 'pg_operator'::regclass THEN 'operator'
                   ELSE 'type' END, d.refobjid
        FROM pg_depend d
        WHERE d.objid = e.id AND d.refobjid >= 16384
            AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
            AND d.classid = CASE e.class
                WHEN 'rule' THEN 'pg_rewrite'::regclass WHEN 'policy' THEN 'pg_policy'::regclass
                WHEN 'default' THEN 'pg_attrdef'::regclass WHEN 'check' THEN 'pg_constraint'::regclass
                -- An aggregate depends on its parts; a body that is no text, on all that it uses.
                WHEN 'function' THEN 'pg_proc'::regclass END
    UNION ALL
        -- Nothing depends on the server's own functions by name: set_config, and those that lock for the session.
        SELECT 'function', p.oid
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace
            AND (p.proname = 'set_config' OR p.proname LIKE 'pg\_advisory\_lock%' OR p.proname LIKE 'pg\_try\_advisory\_lock%')
            AND strpos(CASE e.class
                WHEN 'rule' THEN (SELECT r.ev_action::text FROM pg_rewrite r WHERE r.oid = e.id)
                WHEN 'policy' THEN (SELECT o.polqual::text FROM pg_policy o WHERE o.oid = e.id)
                WHEN 'default' THEN (SELECT d.adbin::text FROM pg_attrdef d WHERE d.oid = e.id)
            END, format(':funcid %s ', p.oid)) > 0
    UNION ALL
        SELECT 'function', o.oprcode::oid FROM pg_operator o
        WHERE e.class = 'operator' AND o.oid = e.id AND o.oprcode::oid >= 16384
    UNION ALL
        -- A cast to a domain runs its checks.
        SELECT 'check', c.oid FROM pg_constraint c WHERE e.class = 'type' AND c.contypid = e.id
    UNION ALL
        SELECT 'function', c.castfunc FROM pg_cast c
        WHERE e.class = 'json' AND c.castsource = e.id AND c.castfunc >= 16384
            AND c.casttarget IN ('json'::regtype, 'jsonb'::regtype)
    UNION ALL
        SELECT e.class, part.oid
        FROM pg_type t
        CROSS JOIN LATERAL (
            SELECT t.typbasetype UNION ALL SELECT t.typelem
            UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ) part(oid)
        WHERE e.class IN ('type', 'json') AND t.oid = e.id AND part.oid >= 16384
    ) f(class, id)
)
SELECT e.source_class, e.source, e.class, e.id, coalesce(c.relkind::text, p.label), coalesce(c.relrowsecurity, p.claims)
FROM edge e
LEFT JOIN pg_class c ON e.class IN ('relation', 'heir') AND c.oid = e.id
LEFT JOIN LATERAL (
    SELECT format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
        n.nspname = 'asuser' AND p.proname = 'claims' AND p.pronargs = 0 AND p.prosecdef AND p.proparallel <> 's'
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = e.id AND n.nspname <> 'pg_catalog'
) p(label, claims) ON e.class = 'function'
LIMIT 500001
