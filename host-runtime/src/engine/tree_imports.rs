//! The imports of the core for the user's files.

use super::bindings::wit::tree;
use super::instance_state::{HostState, Outcome};
use crate::chunk_io::{Sink, Source};
use crate::tree::filesystem::{FilesystemMaterializer, FilesystemPacker, FilesystemTree};
use btdt_ports::{
    Algorithm, CutSizes, Digest, Entry, FollowLinks, IoError, MaterializeBatch, MaterializeError,
    MaterializeSummary, Materializer, PackBatch, Packed, Packer, Placement, Tree,
};
use wasmtime::component::Resource;

impl tree::Host for HostState {}

impl tree::HostFileTree for HostState {
    fn root(&mut self, tree: Resource<FilesystemTree>) -> Outcome<Option<Entry>, IoError> {
        Ok(self.table.get(&tree)?.root())
    }

    fn read_directories(
        &mut self,
        tree: Resource<FilesystemTree>,
        paths: Vec<Vec<u8>>,
        follow: FollowLinks,
    ) -> wasmtime::Result<Vec<Result<Vec<Entry>, IoError>>> {
        Ok(self.table.get(&tree)?.read_directories(&paths, follow))
    }

    fn read_file(
        &mut self,
        tree: Resource<FilesystemTree>,
        path: Vec<u8>,
        limit: u64,
    ) -> Outcome<Vec<u8>, IoError> {
        Ok(self.table.get(&tree)?.read_file(&path, limit))
    }

    fn digest_files(
        &mut self,
        tree: Resource<FilesystemTree>,
        paths: Vec<Vec<u8>>,
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> wasmtime::Result<Vec<Result<Digest, IoError>>> {
        Ok(self.table.get(&tree)?.digest_files(&paths, algorithm, follow))
    }

    fn pack(
        &mut self,
        tree: Resource<FilesystemTree>,
        sink: Resource<Sink>,
        sizes: CutSizes,
    ) -> Outcome<Resource<FilesystemPacker>, IoError> {
        match self.table.get(&tree)?.pack(self.table.get(&sink)?, sizes) {
            Ok(packer) => Ok(Ok(self.table.push(packer)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn materialize(
        &mut self,
        tree: Resource<FilesystemTree>,
        sources: Vec<Resource<Source>>,
        placement: Placement,
    ) -> Outcome<Resource<FilesystemMaterializer>, MaterializeError> {
        let handles = sources.iter().map(|source| self.table.get(source));
        let sources: Vec<&Source> = handles.collect::<Result<_, _>>()?;
        match self.table.get(&tree)?.materialize(&sources, placement) {
            Ok(materializer) => Ok(Ok(self.table.push(materializer)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn drop(&mut self, tree: Resource<FilesystemTree>) -> wasmtime::Result<()> {
        self.table.delete(tree)?;
        Ok(())
    }
}

impl tree::HostPacker for HostState {
    fn submit(
        &mut self,
        packer: Resource<FilesystemPacker>,
        batch: PackBatch,
    ) -> Outcome<(), IoError> {
        let submitted = self.table.get_mut(&packer)?.submit(batch);
        Ok(submitted.map_err(|error| error.0))
    }

    fn finish(&mut self, packer: Resource<FilesystemPacker>) -> Outcome<Vec<Packed>, IoError> {
        Ok(self.table.delete(packer)?.finish().map_err(|error| error.0))
    }

    fn drop(&mut self, packer: Resource<FilesystemPacker>) -> wasmtime::Result<()> {
        self.table.delete(packer)?;
        Ok(())
    }
}

impl tree::HostMaterializer for HostState {
    fn submit(
        &mut self,
        materializer: Resource<FilesystemMaterializer>,
        batch: MaterializeBatch,
    ) -> Outcome<(), MaterializeError> {
        Ok(self.table.get_mut(&materializer)?.submit(batch))
    }

    fn finish(
        &mut self,
        materializer: Resource<FilesystemMaterializer>,
    ) -> Outcome<MaterializeSummary, MaterializeError> {
        Ok(self.table.delete(materializer)?.finish())
    }

    fn drop(&mut self, materializer: Resource<FilesystemMaterializer>) -> wasmtime::Result<()> {
        self.table.delete(materializer)?;
        Ok(())
    }
}
