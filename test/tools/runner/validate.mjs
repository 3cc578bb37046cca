// SPDX-License-Identifier: Apache-2.0
// Prints what GitHub's own language service finds in workflows and action.yml files; exits 1 for findings.
import {readFileSync} from "node:fs";
import {pathToFileURL} from "node:url";
import {validate} from "@actions/languageservice";
import {TextDocument} from "vscode-languageserver-textdocument";
let found = 0;
for (const path of process.argv.slice(2)) {
  const document = TextDocument.create(pathToFileURL(path).href, "yaml", 1, readFileSync(path, "utf8"));
  for (const d of await validate(document)) {
    found++;
    console.log(`${path}:${d.range.start.line + 1}: ${d.message}`);
  }
}
process.exit(found ? 1 : 0);
