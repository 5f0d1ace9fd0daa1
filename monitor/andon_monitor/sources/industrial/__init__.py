"""Industrial cameras (GenICam): `genicam:` through Aravis, `pylon:` through Basler's pypylon.

`source` makes frames of what a `device` delivers; `features` applies the settings; `pixel_formats` knows the pixels.
`aravis` and `pylon` are the two kinds of device.
"""
