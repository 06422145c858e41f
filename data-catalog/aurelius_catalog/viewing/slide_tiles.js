// The tiles of a slide: OpenSeadragon asks for them, the kernel sends them, and nothing is fetched from a server.

const SLOW_MS = 3000; // then people are told what they wait for

/** The tiles one view waits for. */
export class Tiles {
  constructor(model, notify) {
    this.model = model;
    this.notify = notify;
    this.view = Math.random().toString(36).slice(2); // one widget may be shown in several places
    this.count = 0;
    this.sources = 0;
    this.waiting = new Map();
    this.onMessage = (message, buffers) => this.receive(message, buffers);
    model.on("msg:custom", this.onMessage);
  }

  /** Tiles of the slide, or of the layer with a number over it. */
  makeSource({ width, height, tile_px, overlap_px = 0 }, layer = null) {
    const source = new OpenSeadragon.TileSource({
      width,
      height,
      tileWidth: tile_px,
      tileHeight: tile_px,
      tileOverlap: overlap_px,
      minLevel: 0,
      maxLevel: Math.ceil(Math.log2(Math.max(width, height))),
    });
    const name = `${this.view}-${this.sources++}`; // what was asked for with other things hidden is not taken for this
    source.getTileUrl = (level, x, y) => `${name}/${level}/${x}_${y}`; // a name, not an address
    source.hasTransparency = () => layer !== null;
    source.downloadTileStart = (job) => this.ask(job, layer);
    source.downloadTileAbort = (job) => this.drop(job);
    return source;
  }

  ask(job, layer) {
    const id = `${this.view}-${this.count++}`;
    job.userData.id = id;
    const slow = setTimeout(() => this.notify("Waiting for the kernel …"), SLOW_MS);
    this.waiting.set(id, { job, slow, type: layer === null ? "image/jpeg" : "image/png" });
    const { level, x, y } = job.tile;
    this.model.send({ kind: "tile", id, layer, level, column: x, row: y });
  }

  drop(job) {
    if (this.take(job.userData.id)) this.model.send({ kind: "drop", id: job.userData.id });
  }

  receive(message, buffers) {
    const { job, type } = (message?.kind === "tile" && this.take(message.id)) || {};
    if (!job) return;
    this.notify(message.error ?? "");
    if (message.error) job.fail(message.error, null);
    else job.finish(new Blob([buffers[0]], { type }), null, "rasterBlob");
  }

  take(id) {
    const asked = this.waiting.get(id);
    clearTimeout(asked?.slow);
    this.waiting.delete(id);
    return asked;
  }

  close() {
    this.model.off("msg:custom", this.onMessage);
    for (const id of [...this.waiting.keys()]) this.take(id);
  }
}
