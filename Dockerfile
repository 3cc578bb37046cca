# SPDX-License-Identifier: Apache-2.0
# One image for every in-cluster use: a Task's step and any Job of ours. test/product follows it
# without a Docker engine, so each line here is what the tests run.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY action/ action/
COPY cmd/ cmd/
COPY pkg/ pkg/
COPY tekton/ tekton/
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace,disable_grpc_modules,nopshufb \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/knowngood ./cmd/knowngood

# Scratch: a static program needs the public authorities and nothing else. There is no shell for
# an intruder, no package to patch, and no floating base by which two builds would differ.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="knowngood" \
      org.opencontainers.image.description="Never ship without a way back." \
      org.opencontainers.image.source="https://github.com/knowngood/knowngood" \
      org.opencontainers.image.documentation="https://github.com/knowngood/knowngood/blob/main/README.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/knowngood /knowngood
# Numeric, so that runAsNonRoot can be checked without looking into the image.
USER 65532:65532
ENTRYPOINT ["/knowngood"]
