# SPDX-License-Identifier: Apache-2.0
# One image for every in-cluster use: a Task's step and any Job of ours.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY action/ action/
COPY cmd/ cmd/
COPY pkg/ pkg/
COPY tekton/ tekton/
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags grpcnotrace \
    -ldflags "-s -w -X main.version=${VERSION}" -o /out/knowngood ./cmd/knowngood

# Distroless static: certificates, a passwd file and /tmp, and no shell that an intruder could use.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="knowngood" \
      org.opencontainers.image.description="Never ship without a way back." \
      org.opencontainers.image.source="https://github.com/knowngood/knowngood" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/knowngood /knowngood
# Numeric, so that runAsNonRoot can be checked without looking into the image.
USER 65532:65532
ENTRYPOINT ["/knowngood"]
