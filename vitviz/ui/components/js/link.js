// Pictures that share one cursor: what is pointed at in one of them is marked in all of its group. Places travel as shares of
// height and width, so that grids may differ.

const EVENT = "vitviz-linked";

export class Link {
  // hear(news): called with what another member of the group said.
  constructor(hear) {
    this.group = "";
    this.listen = ({ detail }) => {
      if (this.group && detail.group === this.group && detail.from !== this) hear(detail.news);
    };
    window.addEventListener(EVENT, this.listen);
  }

  say(news) {
    if (this.group) window.dispatchEvent(new CustomEvent(EVENT, { detail: { group: this.group, from: this, news } }));
  }

  leave() {
    window.removeEventListener(EVENT, this.listen);
  }
}

// [row, col] in a grid -> the place of its centre, and back to the patch that lies there; null stays null.
export function placeOf(cell, [rows, cols]) {
  return cell && [(cell[0] + 0.5) / rows, (cell[1] + 0.5) / cols];
}

export function cellThere(place, [rows, cols]) {
  return place && [Math.min(Math.floor(place[0] * rows), rows - 1), Math.min(Math.floor(place[1] * cols), cols - 1)];
}
