"""The store on this machine: an index, a folder of files, and one person who looks at them."""
