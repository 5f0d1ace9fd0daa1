"""Small tools without knowledge of parts or cameras: files, units, intervals, HTML, the process, the terminal."""
