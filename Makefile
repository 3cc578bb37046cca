# SPDX-License-Identifier: Apache-2.0
.POSIX:
.PHONY: build demo down try test quick lint soak generate

build:    ; @test/make.sh build
demo:     ; @CLUSTER="$(CLUSTER)" NAME="$(NAME)" test/make.sh demo
down:     ; @NAME="$(NAME)" test/make.sh down
try:      ; @test/make.sh try
test:     ; @test/make.sh test
quick:    ; @test/make.sh quick
lint:     ; @test/make.sh lint
soak:     ; @test/make.sh soak
generate: ; @test/make.sh generate
