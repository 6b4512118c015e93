// Composition follows.
