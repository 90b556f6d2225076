# syntax=docker/dockerfile:1
#
#   docker build --target function -t segmenter .
#   docker build --target function-lambda -t segmenter-lambda .
#   docker build --target function-gpu -t segmenter-gpu .
#   docker build --target operator -t segmenter-operator .
#
# The function's image holds the binary, the default model and the CA certificates, the operator's its binary
# alone: no shell, no libc, no root. The one for GPUs has Debian's libraries, since drivers are such.

FROM rust:1.95-bookworm AS source
WORKDIR /src
COPY . .

FROM source AS build
# The target is named so that +crt-static applies to the binary and not to the procedural macros.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --profile dist --package segmenter --target "$target" \
    && install -D "target/$target/dist/segmenter" /out/segmenter

FROM source AS build-gpu
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package segmenter --features gpu --target-dir target/gpu \
    && install -D target/gpu/dist/segmenter /out/segmenter

# The default model, verified against the catalogue's checksum.
FROM build AS model
RUN /out/segmenter pull --model-dir /models maskrcnn_fbnetv3a_c4

# The API server's certificate is checked against the cluster's own authority, which every pod gets.
FROM source AS build-operator
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target="$(rustc -vV | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" \
       cargo build --locked --profile dist --package segmenter-operator --target "$target" \
    && install -D "target/$target/dist/segmenter-operator" /out/segmenter-operator

FROM scratch AS operator
COPY --from=build-operator /out/segmenter-operator /segmenter-operator
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/segmenter-operator"]
CMD ["run"]

FROM scratch AS function
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/segmenter /segmenter
COPY --from=model /models /models
ENV SEGMENTER_MODEL_DIR=/models \
    SEGMENTER_OFFLINE=1
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/segmenter"]
CMD ["serve"]

# The same with GPUs. Vulkan's loader finds the driver: NVIDIA's container runtime brings it, with the libraries of X11 that
# it is linked with, if "graphics" is asked for; Mesa has those for Intel and AMD.
FROM debian:bookworm-slim AS function-gpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libvulkan1 libxext6 mesa-vulkan-drivers \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-gpu /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build-gpu /out/segmenter /segmenter
COPY --from=model /models /models
ENV NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility \
    SEGMENTER_MODEL_DIR=/models \
    SEGMENTER_OFFLINE=1
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/segmenter"]
CMD ["serve"]

# The function for AWS Lambda, which sets variables and not flags: SEGMENTER_THRESHOLD and the like.
FROM function AS function-lambda
CMD ["lambda"]
