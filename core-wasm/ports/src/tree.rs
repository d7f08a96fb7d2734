//! The user's files: listing, packing into chunks, and materializing from chunks.
//!
//! Paths are bytes, relative to the root of the tree, with `/` between names; the empty path is
//! the root. Bulk content never passes through these calls: plans go in, digests come out.

use crate::{Algorithm, Digest, IoError, ObjectFault, Timestamp};

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A socket, FIFO or device.
    Special,
}

/// Equal for two names of the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// One name in a directory, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name; empty for the root of a tree.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits (`0o777`); `None` where the host cannot know them.
    pub mode: Option<u32>,
    /// Time of the last change of the content.
    pub modified: Timestamp,
    /// Size of a file in bytes; 0 for everything else.
    pub size: u64,
    /// Present for a file that has further names, here or elsewhere.
    pub link: Option<LinkId>,
    /// Where a symbolic link points; `None` where the host cannot tell.
    pub target: Option<Vec<u8>>,
}

/// Whether symbolic links are reported as themselves or as what they point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowLinks {
    /// As themselves.
    Never,
    /// As what they point to; a dangling link is an error of its directory.
    Always,
}

/// Sizes, in bytes, between which content-defined chunking cuts a large file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutSizes {
    /// No chunk but the last of a range is smaller.
    pub minimum: u32,
    /// The size aimed at.
    pub average: u32,
    /// No chunk is larger.
    pub maximum: u32,
}

/// A file to be packed, and what it looked like when it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    /// Index into [`PackBatch::directories`]; `None` where the root of the tree is this file.
    pub directory: Option<u32>,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// What becomes one chunk, or a row of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The contents of `count` files from `first` on, one behind the other: one chunk.
    Bundle {
        /// Index into [`PackBatch::files`].
        first: u32,
        /// At least 1.
        count: u32,
    },
    /// A range of one file, cut by content: one chunk or more.
    Cut {
        /// Index into [`PackBatch::files`].
        file: u32,
        /// Where the range begins, in bytes.
        offset: u64,
        /// Its length in bytes, at least 1.
        length: u64,
    },
}

/// A self-contained part of the plan of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackBatch {
    /// Paths of the directories that the files are in.
    pub directories: Vec<Vec<u8>>,
    /// The files.
    pub files: Vec<PackFile>,
    /// What to make of them.
    pub groups: Vec<Group>,
}

/// Why a file was not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFault {
    /// Its size or time was not what the plan says, before or after it was read.
    Changed,
    /// It could not be read.
    Unreadable(IoError),
}

/// A chunk that is now in the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedChunk {
    /// SHA-256 of the raw content.
    pub digest: Digest,
    /// Bytes of raw content.
    pub raw_size: u32,
    /// Bytes in stored form.
    pub stored_size: u32,
    /// False where the sink had it already.
    pub new: bool,
}

/// What became of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Its chunks, in the order of the content.
    Chunks(Vec<PackedChunk>),
    /// Nothing was kept, because of a file.
    Fault {
        /// Index of that file in its batch.
        file: u32,
        /// What was wrong with it.
        fault: FileFault,
    },
}

/// The sink did not take a chunk: the whole pack has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not write to the cache: {0}")]
pub struct PackError(pub IoError);

/// A running pack: batches go in while earlier ones are worked on.
pub trait Packer {
    /// Hands over the next batch; waits while too much is queued.
    ///
    /// # Errors
    /// When an earlier batch has failed already.
    fn submit(&mut self, batch: PackBatch) -> Result<(), PackError>;

    /// Waits for the rest. The outcome of every group of every batch, in order.
    ///
    /// # Errors
    /// When the sink failed.
    fn finish(self) -> Result<Vec<Packed>, PackError>;
}

/// Where a materialized tree comes to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Written beside the destination and renamed to it by [`Materializer::finish`]: nothing of
    /// that name is there, or it is a file that is replaced. Dropped before, it leaves nothing.
    Staged,
    /// Written into the directory that is there.
    InPlace,
}

/// What is at the place of a file that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing.
    Absent,
    /// Something that is not a directory and is replaced, never written into: it may have other
    /// names outside the tree.
    Replace,
    /// A file that may have the right content already: it is read, and replaced if it differs.
    /// Only for a file whose content is one segment.
    Compare,
}

/// What is at the place of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// Nothing: it is made.
    Absent,
    /// A directory that has the mode and time it should have. It stays, with what is in it; if
    /// the plan changes something in it, mode and time are set again at the end.
    Present,
    /// A directory that stays, but whose mode or time has to be set at the end.
    Outdated,
    /// Something else, which is replaced.
    Obstructed,
}

/// A directory of the tree. Directories are numbered from 0 over all batches of a materializer;
/// number 0 is the root and every other one follows its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryPlan {
    /// Number of the parent; 0 for the root itself.
    pub parent: u32,
    /// Name in the parent; empty for the root.
    pub name: Vec<u8>,
    /// What is there.
    pub state: DirectoryState,
    /// Permission bits to end with; `None` leaves what the host gives a new directory.
    pub mode: Option<u32>,
    /// Time of the last change to end with.
    pub modified: Timestamp,
}

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// Number of its directory; `None` where the root of the tree is this file.
    pub directory: Option<u32>,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// What is there.
    pub existing: Existing,
    /// Permission bits; `None` leaves what the host gives a new file.
    pub mode: Option<u32>,
    /// Time of the last change.
    pub modified: Timestamp,
    /// Size in bytes: the sum of its segments, which cover it once.
    pub size: u64,
}

/// A part of a chunk, and the part of a file that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Index into [`MaterializeBatch::files`].
    pub file: u32,
    /// Where it goes, in bytes.
    pub file_offset: u64,
    /// Where it comes from, in bytes.
    pub chunk_offset: u32,
    /// Its length in bytes, at least 1.
    pub length: u32,
}

/// A chunk and all parts of it that a batch needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkPlan {
    /// SHA-256 of the raw content, verified before a byte of it is written.
    pub digest: Digest,
    /// Bytes of raw content.
    pub raw_size: u32,
    /// Index into the sources of the materializer.
    pub source: u32,
    /// In the order of `chunk_offset`.
    pub segments: Vec<Segment>,
}

/// A symbolic link to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymlinkPlan {
    /// Number of its directory.
    pub directory: u32,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// Whether something is there that is replaced.
    pub replace: bool,
    /// Where it points.
    pub target: Vec<u8>,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// A further name for a file of the same tree, made when all files are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardLinkPlan {
    /// Number of its directory.
    pub directory: u32,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// Whether something is there that is replaced.
    pub replace: bool,
    /// Number of the directory of the file.
    pub target_directory: u32,
    /// Name of the file in that directory.
    pub target_name: Vec<u8>,
}

/// Permission bits and time of something that is otherwise right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataPlan {
    /// Number of its directory.
    pub directory: u32,
    /// Name in that directory.
    pub name: Vec<u8>,
    /// Permission bits; `None` for a symbolic link or where they are not known.
    pub mode: Option<u32>,
    /// Time of the last change.
    pub modified: Timestamp,
}

/// Something that has to go, directories with all that is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalPlan {
    /// Number of the directory that it is in.
    pub directory: u32,
    /// Name in that directory.
    pub name: Vec<u8>,
}

/// A part of the plan of a restore. Carried out in the order of the fields, except that hard
/// links, and the modes and times of directories, wait for the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaterializeBatch {
    /// Further directories.
    pub directories: Vec<DirectoryPlan>,
    /// What has to go from the directories of this and earlier batches.
    pub removals: Vec<RemovalPlan>,
    /// Symbolic links.
    pub symlinks: Vec<SymlinkPlan>,
    /// Files.
    pub files: Vec<FilePlan>,
    /// The content of the files of this batch.
    pub chunks: Vec<ChunkPlan>,
    /// What only needs other metadata.
    pub metadata: Vec<MetadataPlan>,
    /// Hard links.
    pub hard_links: Vec<HardLinkPlan>,
}

/// Why a tree was not materialized.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MaterializeError {
    /// A chunk cannot be used.
    #[error("chunk {digest}: {fault}")]
    Chunk {
        /// The chunk.
        digest: Digest,
        /// What is wrong with it.
        fault: ObjectFault,
    },
    /// The destination could not be written.
    #[error("{}: {error}", String::from_utf8_lossy(.path))]
    Destination {
        /// Path in the tree, empty for the root.
        path: Vec<u8>,
        /// What went wrong.
        error: IoError,
    },
}

/// What a materializer has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaterializeSummary {
    /// Files that were written.
    pub files_written: u64,
    /// Their content in bytes.
    pub bytes_written: u64,
    /// Files that were compared and found to be right.
    pub files_kept: u64,
}

/// A running restore: batches go in while earlier ones are worked on.
pub trait Materializer {
    /// Hands over the next batch; waits while too much is queued.
    ///
    /// # Errors
    /// When this or an earlier batch has failed.
    fn submit(&mut self, batch: MaterializeBatch) -> Result<(), MaterializeError>;

    /// Waits for the rest, sets what has to be set last, and publishes a staged tree.
    ///
    /// # Errors
    /// When any part failed; a staged tree is then gone.
    fn finish(self) -> Result<MaterializeSummary, MaterializeError>;
}

/// A file or directory of the user.
pub trait Tree {
    /// Where packed chunks go.
    type Sink;
    /// Where materialized chunks come from.
    type Source;
    /// A running pack.
    type Packer: Packer;
    /// A running restore.
    type Materializer: Materializer;

    /// What the tree is rooted in; `None` where there is nothing. A symbolic link at the root is
    /// followed.
    ///
    /// # Errors
    /// When that cannot be found out.
    fn root(&self) -> Result<Option<Entry>, IoError>;

    /// The entries of each of these directories, sorted by name in byte order.
    fn read_directories(
        &self,
        paths: &[Vec<u8>],
        follow: FollowLinks,
    ) -> Vec<Result<Vec<Entry>, IoError>>;

    /// The content of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`crate::IoErrorKind::TooLarge`] beyond the limit; else when it cannot be read.
    fn read_file(&self, path: &[u8], limit: u64) -> Result<Vec<u8>, IoError>;

    /// The digest of the content of each of these files.
    fn digest_files(
        &self,
        paths: &[Vec<u8>],
        algorithm: Algorithm,
        follow: FollowLinks,
    ) -> Vec<Result<Digest, IoError>>;

    /// Begins to pack files of this tree into `sink`.
    ///
    /// # Errors
    /// When the root cannot be opened.
    fn pack(&self, sink: &Self::Sink, sizes: CutSizes) -> Result<Self::Packer, IoError>;

    /// Begins to write this tree from `sources`.
    ///
    /// # Errors
    /// When the place cannot be prepared.
    fn materialize(
        &self,
        sources: &[&Self::Source],
        placement: Placement,
    ) -> Result<Self::Materializer, MaterializeError>;
}
