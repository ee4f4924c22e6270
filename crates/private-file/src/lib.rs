//! How is a file written that only its owner may read? Whole or not at all, and with its mode from
//! its first moment on: nobody reads a key in between, and a crash leaves the old file.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Writes a file whole or not at all, with this mode from its first moment on.
///
/// # Errors
/// What the file system said; the file is then as it was.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// Makes a directory for its owner alone (mode 0700); returns its canonical path.
///
/// # Errors
/// What the file system said.
pub fn make_dir(dir: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    fs::canonicalize(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_writes_to_its_owner() -> io::Result<()> {
        let temporary = tempfile::tempdir()?;
        let dir = make_dir(&temporary.path().join("a/b"))?;
        let mode = |path: &Path| fs::metadata(path).map(|it| it.permissions().mode() & 0o777);
        assert_eq!(mode(&dir)?, 0o700);
        let path = dir.join("key");
        // Somebody else's file of the temporary name is not written into.
        fs::write(dir.join("key.new"), "left over")?;
        write(&path, b"one", 0o600)?;
        write(&path, b"two", 0o600)?;
        assert_eq!((fs::read(&path)?, mode(&path)?), (b"two".to_vec(), 0o600));
        assert!(!dir.join("key.new").exists());
        Ok(())
    }
}
