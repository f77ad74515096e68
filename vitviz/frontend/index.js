// Exports every view. `npm run build` bundles this module into one file, for pages without a server.

export { mount as by_hand } from "./views/by_hand.js";
export { mount as board } from "./views/board.js";
export { mount as features } from "./views/features.js";
export { mount as journey } from "./views/journey.js";
export { mount as microscope } from "./views/microscope.js";
export { mount as networks } from "./views/networks.js";
export { mount as picture } from "./views/picture.js";
