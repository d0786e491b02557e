import { mount } from "svelte";
import { edge } from "./state/edge.svelte";
import "./view/app.css";
import EdgeApp from "./view/edge/EdgeApp.svelte";

edge.start();
mount(EdgeApp, { target: document.getElementById("app")! });
