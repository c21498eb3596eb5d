# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# jemalloc gives unused pages back within so many milliseconds; its own default is 10 s.
ENV JEMALLOC_SYS_WITH_MALLOC_CONF=dirty_decay_ms:3000
# The caches stay on the building machine; the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release && cp target/release/chacha /chacha
RUN mkdir /empty

# libc, libgcc and the CA certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /chacha /usr/local/bin/chacha
# 65532 is `nonroot` of the base image. A volume that is mounted here must be writable for it.
COPY --from=build --chown=65532:65532 /empty /var/cache/chacha
USER 65532:65532
WORKDIR /var/cache/chacha
VOLUME /var/cache/chacha

# Clients, and (inside of the container only, unless ops_listen says otherwise) health and metrics.
EXPOSE 8080 9080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["/usr/local/bin/chacha", "health"]

# Mount the configuration, with disk.dir: /var/cache/chacha. --listen, because the default is loopback.
ENTRYPOINT ["/usr/local/bin/chacha"]
CMD ["run", "-f", "/etc/chacha/config.yaml", "--listen", "0.0.0.0:8080", "--log-format", "json"]
