/**
 * docs/options.md from the option table; that the two agree is seen in options.test.ts.
 * To write it anew: npx tsx test/docs/option_page.ts > docs/options.md
 */
import { OPTION_TABLE, type OptionRow } from '../../src/task/options/option_table';

const HEAD = `# Options of training

What \`fused-lora train\` and \`fineTune\` take, from the one table that both read (src/task/options).
This page is made of it: \`npx tsx test/docs/option_page.ts > docs/options.md\`. The last column
says what is seen to change with an option; "bits" are those of the adapter or model that is saved.
[cli.md](cli.md) has the commands and the event log.

A \`lora\` that is given to \`fineTune\` in code takes PEFT's defaults for what it leaves out (r 8,
loraAlpha 8, query and value). Without one, and on the command line, the defaults are those below.
`;

const cell = (text: string) => text.replaceAll('|', '\\|');

function line({ name, flags, default: value, says, help, effect, also = [], required, unless }: OptionRow): string {
  const names = [name, ...also].filter((one) => one !== '').map((one) => `\`${one}\``);
  const told =
    says ??
    (value === undefined ? (required ? `required${unless === undefined ? '' : `, or ${unless}`}` : '') : String(value));
  const flag = flags === undefined ? '' : `\`${flags}\``;
  return `| ${[names.join(', '), flag, told, help, effect].map(cell).join(' | ')} |`;
}

export function optionPage(): string {
  const groups = Object.entries(OPTION_TABLE).map(([group, rows]) =>
    [
      `\n## ${group}\n`,
      '| in code | on the command line | default | what it is | what changes |',
      '| --- | --- | --- | --- | --- |',
      ...rows.map(line),
    ].join('\n'),
  );
  return `${[HEAD.trimEnd(), ...groups].join('\n')}\n`;
}

if (require.main === module) process.stdout.write(optionPage());
