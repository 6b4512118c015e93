import NixCompat
