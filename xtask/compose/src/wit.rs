//! Prints the imports and exports of a component in WIT.

use anyhow::{Context, Result};
use wit_component::WitPrinter;
use wit_parser::decoding;

/// Returns the WIT text, without the comments of the interfaces.
///
/// # Errors
/// If the bytes are not a component.
pub(crate) fn print(component: &[u8]) -> Result<String> {
    let decoded = decoding::decode(component).context("it is no component")?;
    let resolve = decoded.resolve();
    let package = decoded.package();
    let others: Vec<_> =
        resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != package).collect();
    let mut printer = WitPrinter::default();
    printer.emit_docs(false);
    printer.print(resolve, package, &others)?;
    Ok(printer.output.to_string())
}
