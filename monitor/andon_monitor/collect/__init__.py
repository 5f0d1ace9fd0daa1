"""From a camera, or any other source, to a folder of training images: `andon-monitor collect`.

`picture` measures a frame; `selection` decides whether it is worth keeping; `image_folder` writes images and manifest;
`collector` does all of it until a limit is reached.
"""
