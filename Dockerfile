# clbench on the CPU; with CUDA:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 -t clbench:cuda .
# CUDA's libraries come with PyTorch's wheels; the host brings the driver (docker run --gpus all).
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir $(grep -E '^torch(vision)?==' constraints.txt) --index-url "$TORCH_INDEX"
COPY . ./
RUN pip install --no-cache-dir -c constraints.txt . && python -c "import torchvision"

RUN useradd --create-home clbench && mkdir /work /cache && chown clbench /work /cache
USER clbench
ENV CLBENCH_CACHE=/cache
WORKDIR /work
RUN clbench doctor
ENTRYPOINT ["clbench"]
CMD ["--help"]
