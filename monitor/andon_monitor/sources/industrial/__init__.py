"""Industrial cameras (GenICam): `genicam:` through Aravis or a GenTL producer, `pylon:` through Basler's pypylon.

`source` makes frames of what a `device` delivers; `features` applies the settings; `pixel_formats` knows the pixels.
`aravis`, `gentl` and `pylon` are the kinds of device.
"""
