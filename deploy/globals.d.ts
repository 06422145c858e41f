/** OpenSeadragon's own build, which the kernel sends before the slide viewer; it has no types. */
declare const OpenSeadragon: any;
