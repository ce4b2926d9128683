#!/bin/bash
# @electron/asar 4.3.2 (npm): a pattern of `unpack` is matched with the whole path of a file on the
# machine that packs, and `**` passes over no folder whose name begins with a dot. So what is left
# beside the archive depends on where the application is packed; nothing is said of it.
#
#   packed in /app, **/*.node: 1 unpacked
#   packed in /.app, **/*.node: 0 unpacked
#   packed in /.app, *.node: 1 unpacked
#
# Ends with 0 while it is so. An addon that stays in the archive can not be loaded; docs/bundlers.md
# names the pattern without folders.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
(cd "$dir" && npm install --silent --no-audit --no-fund @electron/asar@4.3.2 >/dev/null)
cat > "$dir/pack.mjs" <<'J'
import fs from 'node:fs';
import { createPackageWithOptions, listPackage, statFile } from '@electron/asar';
// The reader keeps what it read of a file name: each archive has its own.
let count = 0;
for (const [folder, unpack] of [['app', '**/*.node'], ['.app', '**/*.node'], ['.app', '*.node']]) {
  fs.mkdirSync(`${folder}/sub`, { recursive: true });
  fs.writeFileSync(`${folder}/sub/addon.node`, 'bytes');
  const archive = `out/${count++}/app.asar`;
  await createPackageWithOptions(fs.realpathSync(folder), archive, { unpack });
  const files = listPackage(archive, { isPack: false }).map((file) => file.slice(1));
  const unpacked = files.filter((file) => statFile(archive, file).unpacked);
  console.log(`packed in /${folder}, ${unpack}: ${unpacked.filter((file) => file.endsWith('.node')).length} unpacked`);
}
J
seen=$(cd "$dir" && node pack.mjs)
echo "$seen"
grep '^#   ' "$0" | cut -c5- | diff - <(echo "$seen") && echo "as before"
