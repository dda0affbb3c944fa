# userstack with the OpenBSD netcat and tcpdump beside it: one image for the stack and for its peer.
#
# BASE is any Debian or Ubuntu with Python 3.11 or newer, where no registry is at hand for instance one made by debootstrap.
# WHEELS names a directory of wheels in the build context, for builds without a package index. scripts/compose-check uses both.
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE}

# A base that brings the tools already needs no package mirror.
RUN for tool in nc tcpdump ip; do command -v $tool >/dev/null || missing=yes; done; \
    [ -z "$missing" ] || { \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends netcat-openbsd tcpdump iproute2 \
        && rm -rf /var/lib/apt/lists/*; \
    }

ARG WHEELS=
WORKDIR /usr/src/userstack
COPY . .
# A virtual environment, since Debian's own Python takes no packages from pip (PEP 668).
RUN python3 -m venv /opt/userstack \
    && /opt/userstack/bin/pip install --no-cache-dir --disable-pip-version-check ${WHEELS:+--no-index --find-links "$WHEELS"} .

ENV PATH=/opt/userstack/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT []
CMD ["userstack", "--help"]
