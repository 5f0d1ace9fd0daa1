"""The page's store: a folder with an SQLite database, evidence packages and thumbnails. No SQL outside this package.

`schema` creates and migrates the tables, `database` connects, `rows` are what queries return, the `*_table` modules
query one table each, `package_files` keeps the files, `retention` deletes what is too old or too much, `store` joins
them.
"""

from andon_monitor.review.store.store import Store, must_exist

__all__ = ["Store", "must_exist"]
