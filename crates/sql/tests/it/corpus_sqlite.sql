SELECT * FROM orders
SELECT id, region, amount FROM orders WHERE amount > 100 ORDER BY amount DESC, id
SELECT region, count(*), sum(amount), avg(amount), total(amount) FROM orders GROUP BY region ORDER BY region
SELECT region, count(*) AS n FROM orders GROUP BY region HAVING count(*) > 1 ORDER BY n DESC, region
SELECT strftime('%Y-%m', placed_at) AS ym, sum(amount) AS total FROM orders GROUP BY ym ORDER BY ym
SELECT date(placed_at), datetime(placed_at, '+1 day'), julianday(placed_at) > 0, time(placed_at) FROM orders ORDER BY id
SELECT DISTINCT region FROM orders ORDER BY region
SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id
SELECT o.id, c.name FROM orders o LEFT JOIN customers c ON c.id = o.customer_id ORDER BY o.id
SELECT o.id, c.name FROM orders AS o, customers AS c WHERE c.id = o.customer_id ORDER BY 1
SELECT id, region, name FROM orders JOIN customers USING (id) ORDER BY id
SELECT * FROM orders NATURAL JOIN (SELECT id, name FROM customers) ORDER BY id
SELECT id FROM orders FULL JOIN customers USING (id) ORDER BY id
SELECT * FROM orders o LEFT JOIN customers c USING (id) ORDER BY id
SELECT count(DISTINCT customer_id), group_concat(region, ';'), min(amount), max(amount) FROM orders
SELECT id FROM orders WHERE region IN ('EU', 'US') AND status NOT IN ('void') ORDER BY id
SELECT id FROM orders WHERE (region, status) IN (VALUES ('EU', 'paid'), ('US', 'open')) ORDER BY id
SELECT id FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE country = 'DE') ORDER BY id
SELECT id FROM orders o WHERE EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id) ORDER BY id
SELECT id, (SELECT name FROM customers c WHERE c.id = o.customer_id) AS name FROM orders o ORDER BY id
SELECT name FROM customers WHERE name LIKE 'a%' OR email NOT LIKE '%!_%' ESCAPE '!' ORDER BY name
SELECT name FROM customers WHERE glob('A*', name) ORDER BY name
SELECT upper(name), lower(name), length(name), substr(name, 2, 2), trim(name), ltrim(name, 'A'), replace(name, 'a', 'x'), instr(name, 'a'), name || '!' FROM customers ORDER BY id
SELECT coalesce(region, 'none'), ifnull(region, '-'), nullif(status, 'open'), iif(amount > 50, 'big', 'small'), typeof(amount), abs(-amount), round(amount, 1) FROM orders ORDER BY id
SELECT CASE region WHEN 'EU' THEN 1 WHEN 'US' THEN 2 END, CASE WHEN amount > 50 THEN 'b' ELSE 's' END FROM orders ORDER BY id
SELECT id FROM orders WHERE amount BETWEEN 20 AND 100 AND region IS NOT NULL ORDER BY id
SELECT id FROM orders WHERE region IS 'EU' OR region IS NULL ORDER BY id
SELECT id, row_number() OVER (PARTITION BY region ORDER BY amount DESC) AS rn, sum(amount) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders ORDER BY id
SELECT id, lag(amount) OVER w, rank() OVER w FROM orders WINDOW w AS (ORDER BY amount) ORDER BY id
SELECT count(*) FILTER (WHERE status = 'paid') FROM orders
SELECT region FROM orders UNION SELECT country FROM customers ORDER BY 1
SELECT region FROM orders UNION ALL SELECT country FROM customers UNION SELECT 'x' ORDER BY 1
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders ORDER BY id
WITH big AS (SELECT * FROM orders WHERE amount > 50) SELECT count(*), sum(amount) FROM big
WITH a(x) AS (SELECT id FROM orders), b AS (SELECT x + 1 AS y FROM a) SELECT max(y) FROM b
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
WITH t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t ORDER BY n
SELECT detail ->> '$.color', json_extract(detail, '$.size'), json_type(detail), detail -> 'size' FROM orders ORDER BY id
SELECT json_group_array(region), json_object('a', 1), json_array(1, 'x') FROM orders
SELECT CAST(amount AS INTEGER), CAST(id AS TEXT) || 'x', CAST('12' AS REAL), CAST(amount AS NUMERIC) FROM orders ORDER BY id
SELECT id FROM orders ORDER BY id LIMIT 2 OFFSET 1
SELECT id FROM orders ORDER BY id LIMIT 1, 2
SELECT id FROM Orders AS O WHERE o.REGION = 'EU' ORDER BY O.Id
SELECT "id", [region], `status` FROM main.orders ORDER BY "id"
SELECT name COLLATE NOCASE FROM customers ORDER BY name COLLATE NOCASE DESC
SELECT 7 / 2, 7 % 3, 2 + 3 * 4, -5 + 3, 1 - -1, ~5, 1 << 3, 5 & 4 | 1, x'4142', 1e3, .5
SELECT id, amount > 50 AND status = 'paid' AS hit FROM orders ORDER BY hit DESC, id
SELECT * FROM (SELECT region, max(amount) AS top FROM orders GROUP BY region) ORDER BY top DESC
SELECT current_date IS NOT NULL, CURRENT_TIMESTAMP > '2020'
VALUES (1, 'a'), (2, 'b')
SELECT column1 FROM (VALUES (1), (2)) ORDER BY 1
SELECT printf('%s-%05d', region, id) FROM orders ORDER BY id
SELECT max(amount, 50), min(id, 3) FROM orders ORDER BY id
SELECT region, sum(amount) FROM orders GROUP BY 1 ORDER BY 2 DESC
