// Package sqlite keeps state in one SQLite file on a local disk: one writing
// process, any number of reading ones. It needs no C compiler.
//
// Beside the file live its -wal and -shm files and a .lock that names the writer.
// Network file systems (NFS, EFS, SMB) cannot hold the locks that this needs.
package sqlite
