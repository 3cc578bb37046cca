// SPDX-License-Identifier: Apache-2.0

// Package store keeps products and orders in PostgreSQL.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// ErrNotFound is the answer about what does not exist.
var ErrNotFound = errors.New("not found")

// A Product is something to buy. Prices are in cents.
type Product struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Price int64  `json:"price"`
}

// An Order is what a customer bought. Totals are in cents.
type Order struct {
	ID       int64     `json:"id"`
	Customer string    `json:"customer"`
	Product  int64     `json:"product"`
	Quantity int64     `json:"quantity"`
	Total    int64     `json:"total"`
	Placed   time.Time `json:"placed"`
}

// A Store is the shop's database. Use Open.
type Store struct{ db *sql.DB }

// Open prepares connections as the description says, such as "host=db user=shop
// dbname=shop". The server must show a certificate for its name by the authority;
// the shop shows its own. All three are PEM. Nothing is connected so far.
func Open(description string, certificate, key, authority []byte) (*Store, error) {
	config, err := pq.NewConfig(description)
	if err != nil {
		return nil, fmt.Errorf("reading how to reach the database: %w", err)
	}
	config.SSLMode, config.SSLInline = pq.SSLModeVerifyFull, true
	config.SSLCert, config.SSLKey, config.SSLRootCert = string(certificate), string(key), string(authority)
	config.ConnectTimeout = 3 * time.Second
	connector, err := pq.NewConnectorConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the database connection: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	db.SetConnMaxLifetime(5 * time.Minute)
	return &Store{db: db}, nil
}

// Close closes all connections.
func (s *Store) Close() error { return s.db.Close() }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// Products lists what is sold, by name.
func (s *Store) Products(ctx context.Context) ([]Product, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id, name, price FROM products ORDER BY name")
	if err != nil {
		return nil, err
	}
	return products(rows)
}

// Place keeps an order of that many of a product. A key that was used before
// places nothing and gives the order that it placed then: a customer whose answer
// was lost may ask again. ErrNotFound means that there is no such product.
func (s *Store) Place(ctx context.Context, key, customer string, product, quantity int64) (Order, error) {
	const insert = `
		INSERT INTO orders (key, customer, product, quantity, total)
		SELECT $1, $2, id, $4::bigint, price * $4::bigint FROM products WHERE id = $3
		ON CONFLICT (key) DO UPDATE SET key = excluded.key
		RETURNING id, customer, product, quantity, total, placed`
	return order(s.db.QueryRowContext(ctx, insert, key, customer, product, quantity))
}

// Order finds one order, or ErrNotFound.
func (s *Store) Order(ctx context.Context, id int64) (Order, error) {
	const find = "SELECT id, customer, product, quantity, total, placed FROM orders WHERE id = $1"
	return order(s.db.QueryRowContext(ctx, find, id))
}

func order(row *sql.Row) (Order, error) {
	var o Order
	err := row.Scan(&o.ID, &o.Customer, &o.Product, &o.Quantity, &o.Total, &o.Placed)
	if errors.Is(err, sql.ErrNoRows) {
		return o, ErrNotFound
	}
	o.Placed = o.Placed.UTC()
	return o, err
}

func products(rows *sql.Rows) ([]Product, error) {
	list := []Product{}
	for rows.Next() {
		var p Product
		if err := rows.Scan(&p.ID, &p.Name, &p.Price); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, p)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}
