# The image lens-legacy: the stack of 2018 with its compiler and with graphs compiled beforehand, from the lock that
# the virtual environment installs. `make image` builds it, `make image-test` tries it; README.md says how to run it.
ARG BASE_IMAGE=python:3.8.20-slim-bookworm
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS compiler

# Theano compiles C++ when it runs. Nothing compiles C, links statically, optimises at link time or uses a sanitizer:
# without what only those need, the layer is half as large.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/* /usr/bin/*-lto-dump-* \
        /usr/lib/gcc/*/*/cc1 /usr/lib/gcc/*/*/lto1 /usr/lib/gcc/*/*/lib*san* /usr/lib/gcc/*/*/libstdc++*.a \
        /usr/lib/*/lib[altu]*san.so* /usr/lib/*/libc.a /usr/lib/*/libm-*.a /usr/lib/*/libmvec.a
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# Wheels of all that the image holds, made with the build tools of the lock, which stay here.
# Both secrets are optional, and nothing of them stays. The pip.conf of a machine with certificates of its own says
# `cert = /run/secrets/ca.crt`.
FROM compiler AS wheels
COPY requirements/build.txt requirements/legacy.txt /lock/
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf
RUN --mount=type=secret,id=pip.conf,required=false --mount=type=secret,id=ca.crt,required=false \
    pip install --no-cache-dir --no-deps --require-hashes -r /lock/build.txt \
    && pip wheel --no-cache-dir --no-deps --require-hashes --no-build-isolation --wheel-dir /wheels -r /lock/legacy.txt
COPY LICENSE /own/
COPY common /own/common
COPY legacy /own/legacy
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /own/wheels /own/common /own/legacy

FROM compiler
# The packages' own tests go; astropy imports its own.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && find /usr/local/lib/python3.8/site-packages/numpy /usr/local/lib/python3.8/site-packages/scipy \
        /usr/local/lib/python3.8/site-packages/sklearn /usr/local/lib/python3.8/site-packages/matplotlib \
        -type d -name tests -prune -exec rm -rf {} +
RUN --mount=type=bind,from=wheels,source=/own,target=/own \
    pip install --no-cache-dir --no-deps --no-index /own/wheels/*.whl \
    && mkdir -m 1777 /out \
    && install -D -m 644 /own/LICENSE /usr/local/share/licenses/lens-twins/LICENSE

# Compiled modules are found again only with the hash seed they were made with. /dev/shm can be written in every
# container, and matplotlib must write to be imported.
ENV LENS_WARM_THEANO=/usr/local/lib/lens-twins/theano \
    LENS_CACHE=/out/.cache \
    LENS_VOLUME=/out \
    HOME=/tmp \
    MPLCONFIGDIR=/dev/shm/matplotlib \
    PYTHONHASHSEED=0 \
    PYTHONUNBUFFERED=1

# A short training of each network compiles its graphs; modules do not depend on the number of stamps.
RUN LENS_CACHE=/tmp/cache LENS_VOLUME='' lens-legacy train --model cnn --mocks 60 --epochs 1 --batch-size 8 --out /tmp/cnn \
    && LENS_CACHE=/tmp/cache LENS_VOLUME='' lens-legacy train --model resnet --mocks 60 --epochs 1 --batch-size 8 --out /tmp/resnet \
    && mkdir -p /usr/local/lib/lens-twins \
    && mv /tmp/lens-twins-0/theano/slot-0/warm /usr/local/lib/lens-twins/theano \
    && chmod -R a+rX /usr/local/lib/lens-twins \
    && rm -rf /tmp/cache /tmp/cnn /tmp/resnet /tmp/lens-twins-0

ARG VERSION=unknown
LABEL org.opencontainers.image.title="lens-legacy" \
      org.opencontainers.image.description="The strong-lens networks of 2018 on their own stack: Lasagne and Keras on Theano" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"

WORKDIR /out
USER 1000:1000
ENTRYPOINT ["lens-legacy"]
