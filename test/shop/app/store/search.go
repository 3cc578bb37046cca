// SPDX-License-Identifier: Apache-2.0

package store

import "context"

// Search lists the products with that text in their name, by name.
func (s *Store) Search(ctx context.Context, text string) ([]Product, error) {
	const search = "SELECT id, name, price FROM products WHERE strpos(lower(name), lower($1)) > 0 ORDER BY name"
	rows, err := s.db.QueryContext(ctx, search, text)
	if err != nil {
		return nil, err
	}
	return products(rows)
}
