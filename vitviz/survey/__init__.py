"""The same analyses over a folder of images, streamed one by one."""
