/**
 * Where the package's own files lie that are no code: styles, scripts and pages. This file lies at
 * the top of src, as the bundle of the command does of dist. The addon: load_addon.ts.
 */
import * as path from 'node:path';

/** @param name such as `report/assets/page.css`. */
export const ownFile = (name: string): string => path.join(__dirname, name);
