//! placeholder
use crate::manifest::Manifest;
use btdt_ports::ArchivePlan;
/// placeholder
pub fn submit<P: ArchivePlan>(_manifest: &Manifest, _plan: &mut P) {}
