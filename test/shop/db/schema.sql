CREATE ROLE shop LOGIN;
CREATE DATABASE shop;
\connect shop
CREATE TABLE products (
    id    bigint PRIMARY KEY,
    name  text   NOT NULL,
    price bigint NOT NULL CHECK (price > 0) -- cents
);
CREATE TABLE orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key      text        NOT NULL UNIQUE, -- the customer's Idempotency-Key
    customer text        NOT NULL,
    product  bigint      NOT NULL REFERENCES products,
    quantity bigint      NOT NULL CHECK (quantity > 0),
    total    bigint      NOT NULL, -- cents
    placed   timestamptz NOT NULL DEFAULT now()
);
INSERT INTO products (id, name, price) VALUES
    (1, 'Arabica, Ethiopia', 1290), (2, 'Arabica, Colombia', 1150), (3, 'Arabica, Kenya', 1390),
    (4, 'Robusta, Vietnam', 890), (5, 'Robusta, Uganda', 920), (6, 'House blend', 990),
    (7, 'Decaf, Mexico', 1250), (8, 'Espresso blend', 1090), (9, 'Filter papers', 350),
    (10, 'Hand grinder', 4900), (11, 'Moka pot', 2990), (12, 'Gooseneck kettle', 5900);
-- A past worth losing: the same orders every time.
INSERT INTO orders (key, customer, product, quantity, total, placed)
SELECT 'seed-' || n, 'customer ' || n % 700, p.id, 1 + n % 4, p.price * (1 + n % 4),
       timestamptz '2026-01-01 08:00+00' + n * interval '37 minutes'
FROM generate_series(1, 5000) AS n JOIN products AS p ON p.id = 1 + n % 12
ORDER BY n;
GRANT SELECT ON products TO shop;
GRANT SELECT, INSERT, UPDATE (key) ON orders TO shop;
