// Runs one signature of a TF.js graph model on named tensors, on whichever backend is set.
// In Node and in pages, which import TF.js in different ways: it is passed in as `tf`.
import { clocked, collect, feed, freed, profiled } from "./tensors.mjs";

/** Loads a model from an IOHandler or an address: `run(inputs, { inspect, timed })`, and `dispose()`. */
export async function load(tf, source) {
  const model = await tf.loadGraphModel(source);
  const signature = signatureOf(model);
  return {
    run: (inputs, { inspect, timed }) =>
      freed(tf, () => {
        const feeds = graphInputs(tf, signature, inputs);
        return inspect ? inner(tf, model, feeds) : infer(tf, model, signature, feeds, timed);
      }),
    dispose: () => model.dispose(),
  };
}

/** The model's signature; where it has none, as old converters wrote them, its nodes by their names. */
function signatureOf(model) {
  const { modelSignature: own } = model;
  if (own?.inputs && own?.outputs) return own;
  const { modelTopology, userDefinedMetadata } = model.artifacts;
  if (userDefinedMetadata?.signature) return userDefinedMetadata.signature;
  const byName = Object.fromEntries(modelTopology.node.map(({ name }) => [name, { name }]));
  const outputs = Object.fromEntries(model.outputNodes.map((name) => [name, { name }]));
  return { inputs: byName, outputs };
}

/** The inputs under the names that they have in the graph. */
function graphInputs(tf, signature, inputs) {
  const feeds = {};
  for (const [name, tensor] of Object.entries(feed(tf, inputs))) {
    if (!signature.inputs[name]) throw new Error(`the signature has no input ${name}`);
    feeds[signature.inputs[name].name] = tensor;
  }
  return feeds;
}

function infer(tf, model, signature, feeds, timed) {
  const names = Object.keys(signature.outputs);
  const fetches = names.map((name) => signature.outputs[name].name);
  const compute = async () => collect(names, [await model.executeAsync(feeds, fetches)].flat());
  return (timed ? clocked : profiled)(tf, compute);
}

/** The output of every node, by its name, and the nodes. An error names the node that it came from. */
async function inner(tf, model, feeds) {
  const nodes = ordered(model.artifacts.modelTopology.node);
  const answer = await profiled(tf, async () => {
    const outputs = {};
    for (const { name, op } of nodes) {
      if (["Const", "Placeholder", "NoOp"].includes(op)) continue;
      try {
        const [tensor] = [await model.executeAsync(feeds, name)].flat();
        if (tensor.dtype !== "string" && tensor.dtype !== "complex64") {
          Object.assign(outputs, await collect([name], [tensor]));
        }
      } catch (error) {
        throw new Error(`at ${name} (${op}): ${error.message}`);
      }
    }
    return outputs;
  });
  return { ...answer, nodes: nodes.map(({ name, op, input }) => ({ name, op, inputs: taken(input) })) };
}

/** The names of the nodes that references take from; `^name` takes nothing. */
function taken(refs = []) {
  return refs.filter((ref) => !ref.startsWith("^")).map((ref) => ref.split(":")[0]);
}

/** Nodes, each after those that it takes from. */
function ordered(nodes) {
  const known = new Map(nodes.map((node) => [node.name, node]));
  const done = new Set();
  const visit = (node) => {
    if (!node || done.has(node)) return;
    done.add(node);
    (node.input ?? []).forEach((ref) => visit(known.get(ref.replace("^", "").split(":")[0])));
    sorted.push(node);
  };
  const sorted = [];
  nodes.forEach(visit);
  return sorted;
}
