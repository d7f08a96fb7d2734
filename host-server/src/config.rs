//! The configuration, checked against the files of this machine.

pub use btdt_server_config::{
    AuthConfig, CacheConfig, CacheLocation, CleanupConfig, Config, ConfigError, Files, Limits,
    Loaded, LogConfig, LogFormat, LogLevel, Secret, Sources, TlsConfig, load, summary,
};

use rustix::fs::Access;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemFiles;

impl Files for SystemFiles {
    fn check_readable(&self, path: &Path) -> Result<(), String> {
        let fail = |error: io::Error| format!("{} cannot be read: {error}", path.display());
        let metadata = fs::metadata(path).map_err(fail)?;
        if !metadata.is_file() {
            return Err(format!("{} is not a file", path.display()));
        }
        File::open(path).map(drop).map_err(|error| {
            let explained = if error.kind() == io::ErrorKind::PermissionDenied {
                format!("; {}", ownership(&metadata))
            } else {
                String::new()
            };
            fail(error) + &explained
        })
    }

    fn check_private_key(&self, path: &Path) -> Result<(), String> {
        if fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return check_creatable(path, "file");
        }
        self.check_readable(path)
    }

    fn check_cache_directory(&self, path: &Path) -> Result<(), String> {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => check_writable(path, &metadata),
            Ok(_) => Err(format!("{} is not a directory", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_creatable(path, "directory")
            }
            Err(error) => Err(format!("{} cannot be used: {error}", path.display())),
        }
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        for ancestor in absolute.ancestors() {
            if let (Ok(real), Ok(rest)) =
                (fs::canonicalize(ancestor), absolute.strip_prefix(ancestor))
            {
                return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
            }
        }
        absolute
    }
}

/// Whether a missing file or directory could be created: the nearest directory above it that exists
/// must be writable.
fn check_creatable(path: &Path, what: &str) -> Result<(), String> {
    // Directories are not created through dangling links.
    let is_link = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let dangling = path.ancestors().filter(is_link).find(|link| fs::metadata(link).is_err());
    if let Some(link) = dangling.filter(|_| what == "directory") {
        let link = link.display();
        return Err(format!("the symbolic link {link} leads to a place that does not exist"));
    }
    let above = path.ancestors().skip(1);
    for ancestor in above {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        match fs::metadata(ancestor) {
            Ok(metadata) if metadata.is_dir() => {
                return check_writable(ancestor, &metadata).map_err(|error| {
                    format!(
                        "the {what} {} does not exist and cannot be created: {error}",
                        path.display()
                    )
                });
            }
            // The directory of a file must exist.
            Err(error) if error.kind() == io::ErrorKind::NotFound && what == "directory" => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!(
                    "neither the {what} {} nor its directory exists",
                    path.display()
                ));
            }
            Ok(_) => return Err(format!("{} is not a directory", ancestor.display())),
            Err(error) => return Err(format!("{} cannot be used: {error}", path.display())),
        }
    }
    Err(format!("{} does not exist", path.display()))
}

fn check_writable(directory: &Path, metadata: &Metadata) -> Result<(), String> {
    let rights = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    let shown = directory.display();
    match rustix::fs::access(directory, rights) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::ROFS) => Err(format!("{shown} is on a read-only file system")),
        Err(rustix::io::Errno::ACCESS) => Err(format!(
            "{shown} cannot be written: {}. Change its owner, or in Kubernetes set \
             securityContext.fsGroup of the pod",
            ownership(metadata)
        )),
        Err(error) => Err(format!("{shown} cannot be used: {}", io::Error::from(error))),
    }
}

/// The owner of a file, and who we are: what is needed to fix its permissions.
fn ownership(metadata: &Metadata) -> String {
    format!(
        "it belongs to user {} and group {} with mode {:04o}, and the server runs as user {} and \
         group {}",
        metadata.uid(),
        metadata.gid(),
        metadata.permissions().mode() & 0o7777,
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    )
}

/// Creates the missing directories of caches.
///
/// # Errors
/// Which one cannot be created, and why.
pub fn create_cache_directories(config: &Config) -> Result<(), String> {
    for (name, cache) in &config.caches {
        let CacheLocation::Filesystem(path) = &cache.location else { continue };
        fs::create_dir_all(path).map_err(|error| {
            format!("The directory {} of cache {name:?} cannot be made: {error}", path.display())
        })?;
    }
    Ok(())
}
