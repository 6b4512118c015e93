#ifndef CSQLITE_H
#define CSQLITE_H

#include <sqlite3.h>

// What the importer cannot see: a destructor that is a cast number, and functions of any arguments.

// Binds a copy of bytes; of none, an empty blob and not NULL.
static inline int csqlite_bind_bytes(sqlite3_stmt *statement, int index, const void *bytes,
                                     sqlite3_uint64 count) {
  return sqlite3_bind_blob64(statement, index, count ? bytes : "", count, SQLITE_TRANSIENT);
}

// Binds a copy of text.
static inline int csqlite_bind_text(sqlite3_stmt *statement, int index, const char *text) {
  return sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT);
}

// Forbids SQL to damage the file: writable_schema, shadow tables and the like.
static inline int csqlite_make_defensive(sqlite3 *database) {
  return sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
}

#endif
