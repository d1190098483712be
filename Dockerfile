# Two images: `millpond`, with the three programs and nothing else, and `nats`, the NATS server as compose.yaml runs it.
# Binaries that were built elsewhere are used with --build-arg BINARIES=<an image that has them in /out>.
ARG BINARIES=build

FROM docker.io/library/golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/ ./cmd/...

FROM ${BINARIES} AS binaries

FROM scratch AS millpond
COPY --from=binaries /out/ /
USER 65532:65532
ENTRYPOINT ["/millpond"]

# A new volume takes its owner from the directory that it covers; without this one the server could not write as 65532.
FROM docker.io/library/nats:2.15.2-alpine AS nats
WORKDIR /data
RUN chown 65532:65532 /data
USER 65532:65532
ENTRYPOINT ["nats-server"]
