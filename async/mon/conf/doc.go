// Package conf reads the configuration files of Ceph, as far as a client needs them: where the
// monitors are, and where its keyring is. It opens no files and resolves no names: it is handed
// text.
package conf
