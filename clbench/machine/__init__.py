"""This computer: device, cores, memory allocator, torchvision beside another torch."""
