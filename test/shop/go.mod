module github.com/knowngood/knowngood/test/shop

go 1.26.4

require github.com/lib/pq v1.12.3
