// SPDX-License-Identifier: Apache-2.0

// Package web answers the shop's customers over HTTPS.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/knowngood/knowngood/test/shop/app/store"
)

// A Store is what the shop needs of its database.
type Store interface {
	Ping(ctx context.Context) error
	Products(ctx context.Context) ([]store.Product, error)
	Search(ctx context.Context, text string) ([]store.Product, error)
	Place(ctx context.Context, key, customer string, product, quantity int64) (store.Order, error)
	Order(ctx context.Context, id int64) (store.Order, error)
}

// A Shop answers customers.
type Shop struct {
	Store  Store
	Log    *slog.Logger
	Commit string
}

// Handler routes the requests.
func (s *Shop) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusOK, map[string]string{"commit": s.Commit})
	})
	mux.HandleFunc("GET /products", s.products)
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("POST /orders", s.place)
	mux.HandleFunc("GET /orders/{id}", s.order)
	return mux
}

// health is readiness: the shop without its database is not ready.
func (s *Shop) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := s.Store.Ping(ctx); err != nil {
		s.Log.Warn("not ready", "error", err)
		s.refuse(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	s.answer(w, http.StatusOK, map[string]string{"status": "ready"})
}

func (s *Shop) products(w http.ResponseWriter, r *http.Request) {
	list, err := s.Store.Products(r.Context())
	s.reply(w, list, err)
}

func (s *Shop) search(w http.ResponseWriter, r *http.Request) {
	list, err := s.Store.Search(r.Context(), r.URL.Query().Get("q"))
	s.reply(w, list, err)
}

// place takes {"customer", "product", "quantity"}. The Idempotency-Key header is
// required, so that a customer who got no answer can ask again safely.
func (s *Shop) place(w http.ResponseWriter, r *http.Request) {
	var wish struct {
		Customer string `json:"customer"`
		Product  int64  `json:"product"`
		Quantity int64  `json:"quantity"`
	}
	key := r.Header.Get("Idempotency-Key")
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&wish)
	switch {
	case err != nil:
		s.refuse(w, http.StatusBadRequest, "the order is not JSON")
	case key == "" || len(key) > 64:
		s.refuse(w, http.StatusBadRequest, "an Idempotency-Key of 1 to 64 bytes is needed")
	case wish.Customer == "" || len(wish.Customer) > 100:
		s.refuse(w, http.StatusBadRequest, "a customer of 1 to 100 bytes is needed")
	case wish.Quantity < 1 || wish.Quantity > 1000:
		s.refuse(w, http.StatusBadRequest, "a quantity from 1 to 1000 is needed")
	default:
		placed, err := s.Store.Place(r.Context(), key, wish.Customer, wish.Product, wish.Quantity)
		s.reply(w, placed, err)
	}
}

func (s *Shop) order(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		s.refuse(w, http.StatusBadRequest, "an order has a number")
		return
	}
	found, err := s.Store.Order(r.Context(), id)
	s.reply(w, found, err)
}

// reply answers with what the store said. Its errors are for the log alone.
func (s *Shop) reply(w http.ResponseWriter, value any, err error) {
	switch {
	case err == nil:
		s.answer(w, http.StatusOK, value)
	case errors.Is(err, store.ErrNotFound):
		s.refuse(w, http.StatusNotFound, "not found")
	default:
		s.Log.Error("the database refused", "error", err)
		s.refuse(w, http.StatusInternalServerError, "the shop has a problem")
	}
}

func (s *Shop) refuse(w http.ResponseWriter, status int, reason string) {
	s.answer(w, status, map[string]string{"error": reason})
}

func (s *Shop) answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.Log.Warn("the customer left", "error", err)
	}
}
