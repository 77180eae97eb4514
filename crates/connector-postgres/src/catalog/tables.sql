-- The relations of the schemas, and the types of their columns. $1: the schemas' names as a JSON array.
-- search_path is pg_catalog alone, so names need no schema and format_type() names every other one.
WITH RECURSIVE asked AS (
    SELECT n.oid, n.nspname, a.place
    FROM json_array_elements_text($1::json) WITH ORDINALITY AS a(name, place) JOIN pg_namespace n ON n.nspname = a.name
), listed AS MATERIALIZED (
    -- A partition is read through its table, whose row security holds for it; its own grants and policies would be others.
    SELECT c.oid, c.relname, c.relkind, asked.nspname, asked.place
    FROM asked JOIN pg_class c ON c.relnamespace = asked.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    ORDER BY asked.place, c.relname
    LIMIT 5001
), heirs(root, child) AS (
    -- Tables that inherit without being partitions may allow the NULL that their parent forbids.
    SELECT l.oid, i.inhrelid FROM listed l JOIN pg_inherits i ON i.inhparent = l.oid WHERE l.relkind = 'r'
    UNION
    SELECT h.root, i.inhrelid FROM heirs h JOIN pg_inherits i ON i.inhparent = h.child
), columns AS MATERIALIZED (
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull
    FROM listed l JOIN pg_attribute a ON a.attrelid = l.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
), bases(type, base) AS (
    SELECT DISTINCT c.atttypid, c.atttypid FROM columns c
    UNION ALL
    SELECT b.type, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd'
), parts(type, part) AS (
    -- What an array, a composite or a domain is made of, down to the types that are made of nothing.
    SELECT DISTINCT b.base, b.base FROM bases b
    UNION
    SELECT p.type, made.of
    FROM parts p JOIN pg_type t ON t.oid = p.part
        CROSS JOIN LATERAL (
            SELECT t.typelem AS of WHERE t.typcategory = 'A' AND t.typelem <> 0
            UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
            UNION ALL SELECT a.atttypid FROM pg_attribute a
                      WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        ) AS made
), ordered AS (
    SELECT p.type, bool_and(
        t.typtype IN ('c', 'd', 'e', 'm', 'r') OR (t.typcategory = 'A' AND t.typelem <> 0) OR EXISTS (
            -- A class of its own, or of a type that it is taken for (varchar for text).
            SELECT FROM pg_opclass c
            WHERE c.opcdefault AND c.opcmethod = (SELECT a.oid FROM pg_am a WHERE a.amname = 'btree')
                AND (c.opcintype = t.oid OR EXISTS (
                    SELECT FROM pg_cast k WHERE k.castsource = t.oid AND k.casttarget = c.opcintype
                        AND k.castmethod = 'b' AND k.castcontext = 'i'))
        )) AS is
    FROM parts p JOIN pg_type t ON t.oid = p.part GROUP BY p.type
), described AS (
    SELECT c.attrelid, json_agg(json_build_array(
        c.attnum, c.attname, format_type(c.atttypid, c.atttypmod), c.atttypid::int8,
        c.attnotnull
            -- Since PostgreSQL 18 a NOT NULL may be declared without looking at the rows that are there.
            AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.attrelid AND k.contype = 'n'
                            AND NOT k.convalidated AND k.conkey[1] = c.attnum)
            AND NOT EXISTS (SELECT FROM heirs h JOIN pg_attribute a ON a.attrelid = h.child
                            WHERE h.root = c.attrelid AND a.attname = c.attname AND NOT a.attnotnull),
        coalesce((SELECT o.collisdeterministic FROM pg_collation o WHERE o.oid = c.attcollation), true)
    ) ORDER BY c.attnum) AS columns
    FROM columns c GROUP BY c.attrelid
)
SELECT 'server', to_json(current_setting('server_version_num')::int4), NULL::json
UNION ALL
SELECT 'schema', to_json(asked.nspname), NULL FROM asked
UNION ALL
SELECT 'type', json_build_array(
        b.type::int8, b.base::int8, n.nspname, t.typname, t.typtype, t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1,
        -- Where the type's own `=` is; only a superuser makes an operator class.
        (SELECT s.nspname
         FROM pg_opclass c
         JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amoplefttype = t.oid AND m.amoprighttype = t.oid
         JOIN pg_operator o ON o.oid = m.amopopr
         JOIN pg_namespace s ON s.oid = o.oprnamespace
         WHERE c.opcintype = t.oid AND c.opcdefault AND m.amopstrategy = 3 AND o.oprname = '='
             AND c.opcmethod = (SELECT a.oid FROM pg_am a WHERE a.amname = 'btree')),
        (SELECT ordered.is FROM ordered WHERE ordered.type = b.base)
    ), NULL
FROM bases b JOIN pg_type t ON t.oid = b.base JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype <> 'd'
UNION ALL
SELECT 'table', json_build_array(
        l.oid::int8, l.nspname, l.relname, l.relkind,
        l.relkind = 'v' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = l.oid AND a.attgenerated = 'v'),
        coalesce((SELECT json_agg(key.attnum ORDER BY key.place)
                  FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS key(attnum, place)
                  WHERE i.indrelid = l.oid AND i.indisprimary AND i.indisvalid AND key.place <= i.indnkeyatts), '[]')
    ), d.columns
FROM listed l LEFT JOIN described d ON d.attrelid = l.oid
