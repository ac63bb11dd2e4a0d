# clbench on the CPU; with CUDA:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 -t clbench:cuda .
# CUDA's libraries come with PyTorch's wheels; the host brings the driver (docker run --gpus all).
FROM python:3.11-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /src
COPY constraints.txt ./
RUN grep -E '^torch(vision)?==' constraints.txt >torch.txt \
    && pip install --no-cache-dir -r torch.txt --index-url "$TORCH_INDEX"
COPY . ./
RUN pip install --no-cache-dir -c constraints.txt . && python -c "import torchvision"

# Any user may write there: docker run --user "$(id -u)".
RUN useradd --create-home --uid 1000 clbench && mkdir /work /cache && chmod 1777 /work /cache
USER 1000
ENV CLBENCH_CACHE=/cache
WORKDIR /work
RUN clbench doctor
ENTRYPOINT ["clbench"]
CMD ["--help"]
