//! Runs the `biscuit` tool with the commands of the guide "Tekton with btdt-server".

use std::path::{Path, PathBuf};
use std::process::Command;

/// The guide's commands for a key and a token, word for word.
pub(crate) const GUIDE: &str = r#"
# Generate a new private key and save it to a file
biscuit keypair --key-output-format pem --only-private-key | head -c -1 > auth_private_key.pem
# Generate a new authorization token with all permissions and validity of 90 days
biscuit generate \
--private-key-file auth_private_key.pem \
--private-key-format pem \
--add-ttl 90d - <<EOF | base64 > auth_token.txt
EOF
"#;

/// The directory in which `cargo xtask test-interop` installs the tool.
fn tools() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/bin");
    assert!(
        tools.join("biscuit").is_file(),
        "the tool `biscuit` is not in {}; run `cargo xtask test-interop`, which installs it",
        tools.display()
    );
    tools
}

/// Runs a script in a directory and returns its output.
pub(crate) fn run(directory: &Path, script: &str) -> Vec<u8> {
    let path = format!("{}:{}", tools().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &format!("set -euo pipefail\n{script}")])
        .current_dir(directory)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
