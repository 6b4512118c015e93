internal import Packs

/// The file of a pack.
typealias PackFile = Packs.FileBytes
