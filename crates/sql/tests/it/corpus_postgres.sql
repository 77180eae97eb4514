SELECT * FROM orders
SELECT id, region, amount FROM orders WHERE amount > 100 ORDER BY amount DESC, id
SELECT region, count(*), sum(amount), avg(amount)::numeric(10,2) FROM orders GROUP BY region ORDER BY region
SELECT region, count(*) AS n FROM orders GROUP BY region HAVING count(*) > 2 ORDER BY n DESC, region
SELECT DISTINCT region FROM orders ORDER BY 1
SELECT DISTINCT ON (region) region, id, amount FROM orders ORDER BY region, amount DESC, id
SELECT count(DISTINCT customer_id) FROM orders
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id
SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id ORDER BY o.id
SELECT o.id, c.name FROM orders o RIGHT JOIN customers c ON c.id = o.customer_id ORDER BY o.id NULLS FIRST, c.id
SELECT o.id, c.name FROM orders o FULL OUTER JOIN customers c ON c.id = o.customer_id ORDER BY 1, 2
SELECT o.id, d.day FROM orders o CROSS JOIN days d ORDER BY 1, 2 LIMIT 7
SELECT id, o.region, c.name FROM orders o JOIN customers c USING (id) ORDER BY id
SELECT id FROM orders FULL JOIN customers USING (id) ORDER BY id
SELECT * FROM orders o LEFT JOIN customers c USING (id) ORDER BY id
SELECT * FROM customers c RIGHT JOIN orders o USING (id) ORDER BY id
SELECT c.id, o.id FROM customers c FULL JOIN orders o USING (id) WHERE id > 2 ORDER BY 1, 2
SELECT id, count(*) FROM orders FULL JOIN customers USING (id) GROUP BY id ORDER BY id
SELECT * FROM customers NATURAL JOIN (SELECT id, region FROM orders) o ORDER BY id
SELECT i.product, sum(i.quantity * i.price) AS total FROM items i JOIN orders o ON o.id = i.order_id WHERE o.status = 'paid' GROUP BY i.product ORDER BY total DESC, 1
SELECT a.id, b.id FROM orders a, orders b WHERE a.id < b.id AND a.region = b.region ORDER BY 1, 2
SELECT * FROM (SELECT id, amount FROM orders) s WHERE s.amount > 50 ORDER BY id
SELECT s.x, s.y FROM (SELECT id, amount FROM orders) AS s(x, y) ORDER BY x
SELECT s.x FROM (VALUES (1, 'a'), (2, 'b')) AS s(x, y) ORDER BY s.y DESC
VALUES (1, 'a'), (2, NULL)
VALUES (1, 'a'), (2, NULL) ORDER BY column1 DESC LIMIT 1
SELECT column2 FROM (VALUES (1, 'a'), (2, 'b')) v ORDER BY column1
SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE country = 'DE') ORDER BY id
SELECT id FROM orders WHERE customer_id NOT IN (SELECT id FROM customers WHERE country = 'DE') ORDER BY id
SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id AND quantity > 2) ORDER BY id
SELECT id FROM orders o WHERE NOT EXISTS (SELECT FROM_ID.order_id FROM items FROM_ID WHERE FROM_ID.order_id = o.id) ORDER BY id
SELECT id, (SELECT name FROM customers c WHERE c.id = o.customer_id) FROM orders o ORDER BY id
SELECT id, (SELECT max(price) FROM items WHERE order_id = o.id) AS dearest FROM orders o ORDER BY dearest DESC NULLS LAST, id
SELECT id FROM orders WHERE amount > (SELECT avg(amount) FROM orders) ORDER BY id
SELECT id FROM orders WHERE amount >= ALL (SELECT amount FROM orders WHERE amount IS NOT NULL)
SELECT id FROM orders WHERE region = ANY (ARRAY['EU', 'US']) ORDER BY id
SELECT id FROM orders WHERE id = ANY (ARRAY[1, 3, 5]) ORDER BY id
SELECT id FROM orders WHERE 'red' = ANY (tags) ORDER BY id
SELECT id FROM orders WHERE region <> ALL ('{EU,US}'::text[]) ORDER BY id
SELECT id FROM orders WHERE region IN ('EU', 'US') ORDER BY id
SELECT id FROM orders WHERE region NOT IN ('EU', 'it''s', 'back\slash', 'quo"te') ORDER BY id
SELECT id FROM orders WHERE id IN (1, 2, -3, 4) ORDER BY id
SELECT id FROM orders WHERE amount IN (10, 20.5, 100) ORDER BY id
SELECT id FROM orders WHERE placed_at::date IN ('2024-01-15', '2024-03-01') ORDER BY id
SELECT id FROM orders WHERE id IN (1, customer_id, 3 + 1) ORDER BY id
SELECT id FROM orders WHERE status IN ('paid', NULL) ORDER BY id
SELECT id FROM orders WHERE (region, status) IN (('EU', 'paid'), ('US', 'open')) ORDER BY id
SELECT id FROM orders WHERE (customer_id, region) IN (SELECT c.id, 'EU' FROM customers c) ORDER BY id
SELECT id FROM orders WHERE (amount, id) > (50, 2) ORDER BY amount, id LIMIT 3
SELECT id FROM orders WHERE amount BETWEEN 10 AND 100 ORDER BY id
SELECT id FROM orders WHERE amount NOT BETWEEN 10 AND 100 ORDER BY id
SELECT id FROM orders WHERE placed_at BETWEEN '2024-01-01' AND '2024-06-30' ORDER BY id
SELECT name FROM customers WHERE name LIKE 'A%' ORDER BY 1
SELECT name FROM customers WHERE name NOT LIKE '%e' ORDER BY 1
SELECT name FROM customers WHERE name ILIKE '%A%' ORDER BY 1
SELECT name FROM customers WHERE email LIKE '%!_%' ESCAPE '!' ORDER BY 1
SELECT name FROM customers WHERE name SIMILAR TO '(A|B)%' ORDER BY 1
SELECT name FROM customers WHERE name ~ '^[A-C]' ORDER BY 1
SELECT name FROM customers WHERE name !~* 'a' ORDER BY 1
SELECT id, CASE WHEN amount > 100 THEN 'big' WHEN amount > 20 THEN 'mid' ELSE 'small' END AS size FROM orders ORDER BY id
SELECT id, CASE region WHEN 'EU' THEN 1 WHEN 'US' THEN 2 END FROM orders ORDER BY id
SELECT id, coalesce(region, 'none'), nullif(status, 'open'), greatest(amount, 50), least(amount, 50, 20) FROM orders ORDER BY id
SELECT id, region IS DISTINCT FROM 'EU', region IS NOT DISTINCT FROM NULL, amount IS NULL, region IS NOT NULL FROM orders ORDER BY id
SELECT day, open IS TRUE, open IS NOT TRUE, open IS FALSE, open IS UNKNOWN, NOT open FROM days ORDER BY day
SELECT date_trunc('month', placed_at) AS month, sum(amount) FROM orders GROUP BY 1 ORDER BY 1
SELECT date_trunc('month', placed_at) AS month, sum(amount) FROM orders GROUP BY month ORDER BY month
SELECT extract(year FROM placed_at) AS y, extract(quarter FROM placed_at) AS q, count(*) FROM orders GROUP BY y, q ORDER BY y, q
SELECT to_char(placed_at, 'YYYY-MM') AS ym, count(*) FROM orders GROUP BY ym ORDER BY ym
SELECT id, placed_at AT TIME ZONE 'UTC' AS utc, placed_at::date, (placed_at + INTERVAL '1 day')::date FROM orders ORDER BY id
SELECT id, age(TIMESTAMPTZ '2025-01-01 00:00+00', placed_at) > INTERVAL '6 months' AS old FROM orders ORDER BY id
SELECT DATE '2024-03-01' - DATE '2024-02-01' AS days, DATE '2024-03-01' + 5, INTERVAL '90' MINUTE, INTERVAL '1-2' YEAR TO MONTH, '1 day'::interval(0)
SELECT make_date(2024, 2, 29), make_interval(days => 3, hours => 4), date_part('dow', DATE '2024-02-29'), to_date('29/02/2024', 'DD/MM/YYYY')
SELECT current_date = now()::date, current_timestamp = now(), localtimestamp IS NOT NULL, current_user = session_user
SELECT upper(name), lower(name), length(name), initcap(name), substring(name FROM 2 FOR 3), substr(name, 2), left(name, 2), right(name, 2) FROM customers ORDER BY id
SELECT trim(name), trim(BOTH 'A' FROM name), trim(LEADING FROM name), btrim(name, 'Ae'), position('a' IN name), strpos(name, 'a'), overlay(name PLACING 'xx' FROM 2 FOR 1) FROM customers ORDER BY id
SELECT name || ' <' || email || '>' FROM customers ORDER BY id
SELECT concat(name, '-', country), concat_ws(',', name, NULL, country), split_part(email, '@', 2), replace(email, '@', ' at '), reverse(name), md5(name), repeat('ab', 3), lpad(name, 8, '.') FROM customers ORDER BY id
SELECT format('%s has %s', name, id), regexp_replace(email, '@.*$', ''), translate(name, 'abc', 'xyz'), starts_with(name, 'A'), ascii(name), chr(65) FROM customers ORDER BY id
SELECT substring(email FROM '@(.*)$') FROM customers ORDER BY id
SELECT round(amount), round(amount, 1), ceil(amount), floor(amount), abs(-amount), sign(amount), trunc(amount, 1), mod(id, 2), amount % 7, power(id, 2), sqrt(id), id / 2, id * 1.5, 2 ^ 3, -id, +id, @ -5, |/ 16.0, ~ id, id & 1, id | 4, id # 3, id << 2, id >> 1 FROM orders ORDER BY id
SELECT 7 / 2, 7 / 2.0, 7 % 3, 2 + 3 * 4 - 1, (2 + 3) * 4, - 5 + 3, 1 - -1, 10 - 3 - 2, 2 * 3 % 4
SELECT 1 = 1 AND 2 > 1 OR FALSE, NOT TRUE OR TRUE, NOT (1 = 2), 1 < 2 AND 2 < 3
SELECT -2147483648, 2147483648, -9223372036854775808, 1e10, .5, 5., 1.50
SELECT id, row_number() OVER (ORDER BY amount DESC NULLS LAST, id) FROM orders ORDER BY id
SELECT id, rank() OVER (PARTITION BY region ORDER BY amount DESC), dense_rank() OVER (PARTITION BY region ORDER BY amount DESC) FROM orders ORDER BY id
SELECT id, sum(amount) OVER (PARTITION BY region ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running FROM orders ORDER BY id
SELECT id, avg(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM orders ORDER BY id
SELECT id, lag(amount) OVER w, lead(amount, 1, 0) OVER w, first_value(id) OVER w FROM orders WINDOW w AS (PARTITION BY region ORDER BY id) ORDER BY id
SELECT id, sum(amount) OVER (w ROWS 1 PRECEDING) FROM orders WINDOW w AS (ORDER BY id) ORDER BY id
SELECT id, count(*) OVER (), ntile(3) OVER (ORDER BY id), percent_rank() OVER (ORDER BY id), cume_dist() OVER (ORDER BY id), nth_value(id, 2) OVER (ORDER BY id) FROM orders ORDER BY id
SELECT id, sum(amount) OVER (ORDER BY placed_at RANGE BETWEEN INTERVAL '30 days' PRECEDING AND CURRENT ROW) FROM orders ORDER BY id
SELECT id, count(*) OVER (ORDER BY region GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders ORDER BY id
SELECT region, sum(amount) / sum(sum(amount)) OVER () AS share FROM orders GROUP BY region ORDER BY region
SELECT * FROM (SELECT o.*, row_number() OVER (PARTITION BY region ORDER BY amount DESC NULLS LAST, id) AS rn FROM orders o) x WHERE rn = 1 ORDER BY region
SELECT count(*) FILTER (WHERE status = 'paid') AS paid, count(*) FILTER (WHERE status <> 'paid') AS other FROM orders
SELECT region, sum(amount) FILTER (WHERE status = 'paid') FROM orders GROUP BY region ORDER BY 1
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY amount), mode() WITHIN GROUP (ORDER BY region) FROM orders
SELECT string_agg(region, ',' ORDER BY region DESC), array_agg(id ORDER BY id), string_agg(DISTINCT region, ';') FROM orders
SELECT bool_and(open), bool_or(open), every(open IS NOT NULL), min(day), max(day) FROM days
SELECT stddev(amount), variance(amount), corr(amount, id), regr_slope(amount, id), stddev_pop(amount), var_samp(amount) FROM orders
SELECT region, status, sum(amount) FROM orders GROUP BY ROLLUP (region, status) ORDER BY 1 NULLS LAST, 2 NULLS LAST, 3
SELECT region, status, count(*) FROM orders GROUP BY CUBE (region, status) ORDER BY 1, 2, 3
SELECT region, status, count(*), grouping(region, status) FROM orders GROUP BY GROUPING SETS ((region, status), (region), ()) ORDER BY 1, 2, 3
SELECT region, count(*) FROM orders GROUP BY (), region ORDER BY 1
SELECT region, status, count(*) FROM orders GROUP BY region, ROLLUP (status) ORDER BY 1, 2, 3
SELECT upper(region), count(*) FROM orders GROUP BY upper(region) ORDER BY upper(region)
SELECT upper(region) AS region, count(*) FROM orders GROUP BY orders.region ORDER BY region
SELECT o.region AS r, count(*) FROM orders o GROUP BY o.region ORDER BY count(*) DESC, r
SELECT region FROM orders ORDER BY amount DESC NULLS LAST, id LIMIT 2 OFFSET 1
SELECT id FROM orders ORDER BY id FETCH FIRST 3 ROWS ONLY
SELECT region FROM orders ORDER BY region NULLS LAST FETCH FIRST 1 ROWS WITH TIES
SELECT id FROM orders ORDER BY -id LIMIT 2
SELECT id FROM orders ORDER BY id OFFSET 4 ROWS
SELECT id FROM orders ORDER BY id LIMIT ALL
SELECT region FROM orders UNION SELECT country FROM customers ORDER BY 1
SELECT region FROM orders UNION ALL SELECT country FROM customers ORDER BY region
SELECT customer_id FROM orders INTERSECT SELECT id FROM customers ORDER BY 1
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders ORDER BY id
SELECT 1 AS n UNION SELECT 2 UNION ALL SELECT 2 INTERSECT SELECT 2 ORDER BY n
(SELECT id FROM orders ORDER BY id LIMIT 2) UNION ALL (SELECT id FROM orders ORDER BY id DESC LIMIT 2) ORDER BY id
(SELECT 1 UNION SELECT 2) EXCEPT SELECT 1
SELECT * FROM (SELECT id FROM orders UNION ALL SELECT id FROM customers) u ORDER BY id
SELECT n FROM (SELECT 1 AS n UNION ALL VALUES (2), (3)) x ORDER BY n
WITH big AS (SELECT * FROM orders WHERE amount > 50) SELECT count(*), sum(amount) FROM big
WITH a AS (SELECT id, region FROM orders), b AS (SELECT region, count(*) AS n FROM a GROUP BY region) SELECT a.id, b.n FROM a JOIN b ON b.region = a.region ORDER BY a.id
WITH orders AS (SELECT id FROM orders WHERE id > 2) SELECT count(*) FROM orders
WITH x(a, b) AS (SELECT id, region FROM orders) SELECT b, max(a) FROM x GROUP BY b ORDER BY b
WITH x AS MATERIALIZED (SELECT id FROM orders), y AS NOT MATERIALIZED (SELECT id FROM x) SELECT sum(id) FROM y
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
WITH RECURSIVE t AS (SELECT 1 AS n, 'a' AS path UNION ALL SELECT n + 1, path || n FROM t WHERE n < 4) SELECT * FROM t ORDER BY n
WITH RECURSIVE months AS (SELECT DATE '2024-01-01' AS m UNION ALL SELECT (m + INTERVAL '1 month')::date FROM months WHERE m < '2024-06-01') SELECT m, (SELECT count(*) FROM orders WHERE date_trunc('month', placed_at AT TIME ZONE 'UTC') = m) FROM months ORDER BY m
SELECT (WITH x AS (SELECT max(id) AS m FROM orders) SELECT m FROM x), id FROM customers ORDER BY id
WITH x AS (SELECT id FROM orders) SELECT (WITH x AS (SELECT 7 AS id) SELECT id FROM x) AS inner_id, id FROM x ORDER BY id
SELECT o.id, l.n FROM orders o CROSS JOIN LATERAL (SELECT count(*) AS n FROM items i WHERE i.order_id = o.id) l ORDER BY o.id
SELECT o.id, l.product FROM orders o LEFT JOIN LATERAL (SELECT product FROM items i WHERE i.order_id = o.id ORDER BY price DESC LIMIT 1) l ON TRUE ORDER BY o.id
SELECT c.name, top.id FROM customers c, LATERAL (SELECT id FROM orders WHERE customer_id = c.id ORDER BY amount DESC NULLS LAST LIMIT 2) AS top ORDER BY 1, 2
SELECT id, tag FROM orders, unnest(tags) AS tag ORDER BY id, tag
SELECT id, t.tag, t.n FROM orders CROSS JOIN unnest(tags) WITH ORDINALITY AS t(tag, n) ORDER BY id, n
SELECT u.a, u.b FROM unnest(ARRAY[1, 2], ARRAY['x', 'y']) AS u(a, b) ORDER BY a
SELECT unnest(tags) AS tag, count(*) FROM orders GROUP BY tag ORDER BY tag
SELECT d::date FROM generate_series(DATE '2024-01-01', DATE '2024-01-05', INTERVAL '1 day') AS d
SELECT g, count(o.id) FROM generate_series(1, 5) g LEFT JOIN orders o ON o.customer_id = g GROUP BY g ORDER BY g
SELECT generate_series FROM generate_series(1, 3)
SELECT detail->>'color' AS color, (detail->'size')::int AS size, detail #>> '{a,b}', detail @> '{"color":"red"}', detail ? 'color' FROM orders ORDER BY id
SELECT jsonb_build_object('id', id, 'region', region), jsonb_typeof(detail), detail || '{"x":1}' FROM orders ORDER BY id
SELECT id, k.key, k.value FROM orders, jsonb_each_text(detail) AS k ORDER BY id, key
SELECT e->>'n' FROM jsonb_array_elements('[{"n":1},{"n":2}]'::jsonb) AS e ORDER BY 1
SELECT value FROM jsonb_array_elements_text('["a","b"]') ORDER BY value
SELECT * FROM jsonb_to_recordset('[{"a":1,"b":"x"},{"a":2,"b":"y"}]') AS r(a int, b text) ORDER BY a
SELECT jsonb_path_query_first(detail, '$.color'), jsonb_path_exists(detail, '$.size') FROM orders ORDER BY id
SELECT json_agg(region ORDER BY id), jsonb_object_agg(id, region) FROM orders WHERE region IS NOT NULL
SELECT to_jsonb(c) FROM customers c ORDER BY id
SELECT row_to_json(x) FROM (SELECT id, region FROM orders ORDER BY id) x
SELECT jsonb_agg(to_jsonb(o) ORDER BY o.id) FROM (SELECT id, amount FROM orders) o
SELECT count(o), count(o.region) FROM orders o
SELECT tags[1], tags[1:2], array_length(tags, 1), cardinality(tags), array_to_string(tags, '|'), tags @> ARRAY['red'], tags && '{blue}', array_position(tags, 'red') FROM orders ORDER BY id
SELECT ARRAY(SELECT id FROM orders ORDER BY id), ARRAY[1, 2] || 3, ARRAY[[1, 2], [3, 4]], '{1,2}'::int[]
SELECT (ARRAY[10, 20, 30])[2], (string_to_array('a,b,c', ','))[1]
SELECT int4range(1, 5) @> 3, lower(int4range(1, 5)), '[2024-01-01,2024-02-01)'::daterange && daterange('2024-01-15', '2024-03-01')
SELECT '10.0.0.1'::inet << '10.0.0.0/8'::inet, host('10.0.0.1/24'::inet)
SELECT CAST('12' AS integer), '12'::bigint + 1, '1.5'::numeric(4,1), 'true'::boolean, 1::text || 'x', '2024-01-01'::timestamp, CAST(NULL AS uuid), 'abc'::varchar(2), 'abc'::char(5) || '|', 3.7::int, '3'::double precision
SELECT name COLLATE "C" FROM customers ORDER BY name COLLATE "C" DESC
SELECT pg_typeof(amount), pg_typeof(region), pg_typeof(id + 1), pg_typeof(amount * 2), pg_typeof(nullif(id, 1)), pg_typeof(CASE WHEN TRUE THEN 1 ELSE 2.0 END) FROM orders LIMIT 1
SELECT regexp_matches(email, '(.+)@(.+)') FROM customers ORDER BY id
SELECT regexp_split_to_table('a b c', ' ') AS part ORDER BY part
SELECT ROW(1, 'a') = ROW(1, 'a'), (1, 2) < (1, 3), ROW(1, NULL) IS NULL
SELECT "o"."id", "o"."region" AS "The Region", "o".amount AS "a""b" FROM public."orders" AS "o" ORDER BY "The Region", 1
SELECT orders.id, public.orders.region FROM public.orders ORDER BY public.orders.id
SELECT O.ID, Region FROM Orders AS O ORDER BY o.Id
TABLE days ORDER BY day
SELECT sum(n) FROM words WHERE w = 'a''b' OR w = E'tab\there' OR w = $$dollar$$ OR w = $x$a$$b$x$ OR w = 'back\slash' OR w = E'back\\slash'
SELECT w, n FROM words ORDER BY n -- trailing comment
SELECT /* a /* nested */ comment */ n FROM words WHERE n > 1 -- end
SELECT c.country, o.status, count(*) AS n, round(avg(o.amount), 2) AS mean FROM customers AS c INNER JOIN orders AS o ON o.customer_id = c.id AND o.amount IS NOT NULL WHERE o.placed_at >= TIMESTAMPTZ '2024-01-01 00:00:00+00' GROUP BY c.country, o.status HAVING count(*) >= 1 ORDER BY n DESC, c.country, o.status
SELECT a.region, b.total FROM (SELECT DISTINCT region FROM orders) a JOIN (SELECT region, sum(amount) AS total FROM orders GROUP BY region) b ON b.region IS NOT DISTINCT FROM a.region ORDER BY 1
SELECT o.id FROM (orders o JOIN customers c ON c.id = o.customer_id) LEFT JOIN items i ON i.order_id = o.id GROUP BY o.id ORDER BY 1
SELECT o.id, c.id FROM orders o LEFT JOIN (customers c JOIN days d ON d.day = c.since) ON c.id = o.customer_id ORDER BY 1
SELECT 'x' AS label, max(amount) FROM orders WHERE FALSE
SELECT EXISTS (SELECT 1 FROM orders WHERE amount > 1000), (SELECT count(*) FROM orders) > 3
SELECT overlay('abcdef' PLACING 'X' FROM 3), encode('\x0102'::bytea, 'hex'), decode('0102', 'hex'), to_hex(255), sha256('a'::bytea)
SELECT CASE WHEN EXISTS (SELECT 1 FROM items WHERE order_id = o.id) THEN 'has' ELSE 'none' END AS k, count(*) FROM orders o GROUP BY k ORDER BY k
SELECT date_bin('15 minutes', TIMESTAMP '2024-01-01 00:22', TIMESTAMP '2024-01-01'), justify_hours(INTERVAL '30 hours'), EXTRACT(epoch FROM INTERVAL '1 hour')
SELECT id FROM orders WHERE amount IS NOT NULL AND NOT (region = 'EU' OR status LIKE 'p%') ORDER BY id
SELECT id, amount > 50 AND status = 'paid' AS hit FROM orders ORDER BY hit DESC NULLS LAST, id
SELECT max(x.n) FROM (SELECT region, count(*) AS n FROM orders GROUP BY region) x
SELECT width_bucket(amount, 0, 200, 4) AS bucket, count(*) FROM orders GROUP BY bucket ORDER BY bucket
SELECT name, since FROM customers WHERE since >= '2020-01-01' AND since < CURRENT_DATE ORDER BY since DESC, name
SELECT country, array_agg(name ORDER BY name) AS names FROM customers GROUP BY country ORDER BY country
SELECT region AS "amount" FROM orders ORDER BY "amount", id
SELECT id FROM orders WHERE detail->'size' = '3' OR (detail->>'size')::int > 4 ORDER BY id
SELECT current_timestamp(0) IS NOT NULL, current_time IS NOT NULL, session_user IS NOT NULL, current_catalog IS NOT NULL
SELECT id FROM orders WHERE status IN ('paid') AND region NOT IN ('US') ORDER BY id
