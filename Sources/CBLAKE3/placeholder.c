// C sources follow.
