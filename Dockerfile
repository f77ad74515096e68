# The app in a container: its CPU build, without root, on a file system that may be read-only. See docs/deploy.md.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS build
# The index of torch's CPU wheels: on Linux the wheels of the general index bring CUDA, 4 GB that a CPU has no use for.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# pip compiles what it installs, and that stays: a server on a read-only file system would compile all of it at each start.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /venv
COPY requirements.lock /src/
RUN grep -E "^(torch|torchvision)==" /src/requirements.lock > /src/torch.txt \
    && /venv/bin/pip install --index-url "${TORCH_INDEX}" --no-deps -r /src/torch.txt \
    && grep -vE "^(#|torch==|torchvision==)" /src/requirements.lock > /src/others.txt \
    && /venv/bin/pip install --no-deps -r /src/others.txt
COPY . /src
RUN /venv/bin/pip install --no-deps /src && /venv/bin/pip check
# The image's own list of what is in it.
RUN python -m venv /tools && /tools/bin/pip install "cyclonedx-bom>=7,<8" \
    && /tools/bin/cyclonedx-py environment --of JSON -o /venv/sbom.cdx.json /venv

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="vitviz" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /venv /venv
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin vitviz \
    && install -d -o vitviz /models
USER 10001
WORKDIR /tmp
# What is written goes to /tmp and, of models from the hub, to /models; everything else is read only.
ENV PATH=/venv/bin:$PATH HOME=/tmp HF_HOME=/models HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    STREAMLIT_SERVER_ADDRESS=0.0.0.0 STREAMLIT_SERVER_PORT=8501 STREAMLIT_SERVER_HEADLESS=true \
    VITVIZ_PUBLIC=1 VITVIZ_PREPARE=1 VITVIZ_LOGS=json
VOLUME /models
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; b = os.environ.get('STREAMLIT_SERVER_BASE_URL_PATH', '').strip('/'); u.urlopen('http://127.0.0.1:8501/' + (b and b + '/') + 'readyz', timeout=4)"]
# As the first process, so that it is told to stop.
CMD ["sh", "-c", "exec streamlit run \"$(python -c 'from vitviz.commands.app import script; print(script())')\""]
