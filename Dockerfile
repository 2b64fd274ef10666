# Build: every tool and library that scripts/dependencies names.
FROM debian:12-slim AS build
WORKDIR /src
COPY scripts/dependencies scripts/dependencies
RUN scripts/dependencies product && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DRUNLEDGER_TESTS=OFF \
 && cmake --build --preset release --target runledger \
 && cmake --install build/release --prefix /opt/runledger --strip

FROM debian:12-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      libcaf-core0.17 libjemalloc2 libsimdjson14 libsqlite3-0 libfmt9 libspdlog1.10 libssl3 \
      libseccomp2 libre2-9 librdkafka1 bubblewrap ca-certificates tini python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/runledger --create-home runledger
COPY --from=build /opt/runledger /usr/local
USER runledger
VOLUME /var/lib/runledger
ENV RUNLEDGER_DATA=/var/lib/runledger \
    RUNLEDGER_LISTEN=0.0.0.0:8080 \
    RUNLEDGER_HTTP_ALLOW_PLAINTEXT=true
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["runledger", "doctor", "--ready"]
ENTRYPOINT ["tini", "--", "runledger"]
CMD ["serve"]
